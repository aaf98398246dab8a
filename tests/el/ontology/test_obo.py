import time
from pathlib import Path

import pytest

from el.base.errors import InputError
from el.ontology.files import Reading, read_ontology_file
from el.ontology.ontology import Concept, Name
from tests.el.ontology.strategies import write

OBO = r"""format-version: 1.4
default-namespace: findings
import: http://example.org/other.obo ! not there
! a comment

[Term]
id: HP:0000001 ! root
name: Short \"finger\" {source="X:1"} ! a comment
namespace: root
def: "Says \"short\"\nof a finger." [X:1 "a reference"] {comment="x"}
synonym: "Stubby  finger" EXACT layperson []
synonym: "Short thumb" NARROW []
synonym: "Short bone" BROAD [X:1]
synonym: "Stub" []
is_a: HP:0000000 ! All

[Term]
id: HP:0000002
name: alpha {2\! beta} acid!

[Typedef]
id: part_of
name: part of

[Term]
id: HP:0000003
name: old
is_obsolete: true
replaced_by: HP:0000002

[Term]
id: X:1
is_obsolete: true
"""
FIRST = Concept(
    "HP:0000001",
    (Name('Short "finger"'), Name("Stubby finger")),
    "disease",
    definition='Says "short" of a finger.',
)
SECOND = Concept("HP:0000002", (Name("alpha {2! beta} acid!"),), "disease")


def read(path: Path, notes: list[str] | None = None, **changes: str) -> list[Concept]:
    return list(read_ontology_file(path, Reading(kind="disease", **changes), notes))  # type: ignore[arg-type]


def test_terms(tmp_path: Path) -> None:
    notes: list[str] = []
    assert read(write(tmp_path / "own.obo", OBO), notes) == [FIRST, SECOND]
    assert notes == [
        "imports http://example.org/other.obo ! not there: not loaded",
        "2 obsolete concepts skipped (1 with a successor)",
    ]


def test_terms_without_a_name_are_skipped(tmp_path: Path) -> None:
    notes: list[str] = []
    unnamed = '\n[Term]\nid: CHEBI:1\nsynonym: "acid" EXACT []\n\n[Term]\nid: CHEBI:2\nname:\n'
    assert read(write(tmp_path / "own.obo", OBO + unnamed), notes) == [FIRST, SECOND]
    assert notes[1:] == [
        "2 terms without a name skipped",
        "2 obsolete concepts skipped (1 with a successor)",
    ]


def test_all_synonyms(tmp_path: Path) -> None:
    first, _ = read(write(tmp_path / "own.obo", OBO), synonyms="all")
    assert [(name.text, name.relation) for name in first.names[1:]] == [
        ("Stubby finger", "preferred"),
        ("Short thumb", "narrower"),
        ("Short bone", "broader"),
        ("Stub", "related"),
    ]


@pytest.mark.parametrize(
    ("namespace", "found"), [("root", [FIRST]), ("findings", [SECOND]), ("HP", [FIRST, SECOND])]
)
def test_a_namespace(tmp_path: Path, namespace: str, found: list[Concept]) -> None:
    notes: list[str] = []
    assert read(write(tmp_path / "own.obo", OBO), notes, namespace=namespace) == found
    skipped = [f"1 concept of other namespaces than {namespace} skipped"] if len(found) == 1 else []
    assert notes[2:] == skipped


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "own.obo: holds no concepts"),
        ("format-version: 1.4\n\n[Term]\nid HP:1\nname: a\n", "line 3: no id"),
        ("\n[Term]\nid: HP:1\n", "no concepts are left: 1 term without a name skipped"),
        ("[Term]\nname: a\n", "line 1: no id"),
        (
            "[Term]\nid: HP:1\nname: a\n[Term]\nid: HP:1\nname: b\n",
            "line 4: the id HP:1 is also in line 1, with another name",
        ),
        (
            "[Term]\nid: HP:1\nname: a\nis_obsolete: true\n",
            r"no concepts are left: 1 obsolete concept skipped \(0 with",
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "own.obo", text))


def test_no_concept_of_a_namespace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 concepts of other namespaces than UBERON"):
        read(write(tmp_path / "own.obo", OBO), namespace="UBERON")


def names(tmp_path: Path, lines: str, synonyms: str = "all") -> tuple[list[tuple[str, str]], list[str]]:
    """The names of one term after the first, with their relations, and what is noted."""
    notes: list[str] = []
    text = f"[Term]\nid: X:1\nname: first\n{lines}\n"
    (term,) = read(write(tmp_path / "own.obo", text), notes, synonyms=synonyms)
    return [(name.text, name.relation) for name in term.names[1:]], notes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"5"-phosphate" EXACT []', ('5"-phosphate', "preferred")),
        ('"the "broad" form" NARROW layperson [X:1]', ('the "broad" form', "narrower")),
        ('"a "b" [c] d" exact []', ('a "b" [c] d', "preferred")),
        ('"2"" [X:1]', ('2"', "related")),
        ('"3\'-O"-methyl" BROAD [X:1 "said "so"", Y:2] {source="Z"} ! "end"', ("3'-O\"-methyl", "broader")),
        ('"say "ah" disease" {source="X:1"}', ('say "ah" disease', "related")),
        ('"slash at the end\\" EXACT [X:1 "a source"]', ("slash at the end", "preferred")),
    ],
)
def test_unescaped_quotes(tmp_path: Path, value: str, expected: tuple[str, str]) -> None:
    found, notes = names(tmp_path, f"synonym: {value}")
    assert found == [expected]
    assert notes == ["1 text with unescaped quotes repaired (first: line 4)"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bare name EXACT []", ("bare name", "preferred")),
        ("bare name [X:1]", ("bare name", "related")),
        ('"no end NARROW [X:1]', ("no end", "narrower")),
        ("bare exact name", ("bare exact name", "related")),
    ],
)
def test_missing_quotes(tmp_path: Path, value: str, expected: tuple[str, str]) -> None:
    found, notes = names(tmp_path, f"synonym: {value}")
    assert found == [expected]
    assert notes == ["1 text without quotes repaired (first: line 4)"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('synonym: "a \\"b\\" \\[c\\]\\: \\{d\\}" EXACT []', ('a "b" [c]: {d}', "preferred")),
        ('synonym: "a" exact []', ("a", "preferred")),
        ('synonym: "a" Narrow X:1, Y:2', ("a", "narrower")),
        (
            'synonym: "a" EXACT [http://x/y(z) said so, Y:1 "a \\"b\\" [c]"] {k="v", l="w"} ! x',
            ("a", "preferred"),
        ),
        ('exact_synonym: "a" []', ("a", "preferred")),
        ('broad_synonym: "a" [X:1]', ("a", "broader")),
        ('synonym: "a\\tb\\nc" RELATED []\r', ("a b c", "related")),
        ('synonym: "a ! b {c=\\"d\\"}" BROAD []', ('a ! b {c="d"}', "broader")),
    ],
)
def test_sound_synonyms_need_no_repair(tmp_path: Path, line: str, expected: tuple[str, str]) -> None:
    assert names(tmp_path, line) == ([expected], [])


@pytest.mark.parametrize(
    ("definition", "synonym"),
    [
        ('OLD "obsoleted name"', '"a" EXACT OLD []'),
        ('X:9 "Withdrawn by the committee" EXACT', '"a" X:9 [Y:1]'),
        ('OTHER "other"', '"a" RELATED http://purl.obolibrary.org/obo/mondo#DEPRECATED []'),
        ('OTHER "other"', '"a" EXACT Excluded'),
        ('OTHER "other"', '"a" EXACT OTHER [] {http://x#hasSynonymType="http://x#EXCLUDE"}'),
        ('OTHER "other"', '"a" EXACT [] {deprecated="true"}'),
    ],
)
def test_deprecated_and_excluded_synonyms(tmp_path: Path, definition: str, synonym: str) -> None:
    lines = f'synonym: {synonym}\nsynonym: "b" EXACT OTHER [X:1 "deprecated"]'
    notes: list[str] = []
    text = f"synonymtypedef: {definition}\n\n[Term]\nid: X:1\nname: first\n{lines}\n"
    (term,) = read(write(tmp_path / "own.obo", text), notes, synonyms="all")
    assert [name.text for name in term.names] == ["first", "b"]
    assert notes == ["1 synonym marked as deprecated or excluded left out (first: line 6)"]


def test_a_type_gives_its_synonyms_their_scope(tmp_path: Path) -> None:
    text = 'synonymtypedef: UK "British" EXACT\n\n[Term]\nid: X:1\nname: anemia\nsynonym: "anaemia" UK []\n'
    (term,) = read(write(tmp_path / "own.obo", text))
    assert [name.text for name in term.names] == ["anemia", "anaemia"]


def test_definitions_do_not_refuse_a_file(tmp_path: Path) -> None:
    notes: list[str] = []
    definitions = (
        '"Says "so" [1] often." [X:1]',
        "No quotes. [X:1]",
        '"No end',
        '"Cut\nby a line end." []',
        '""',
    )
    text = "".join(f"[Term]\nid: X:{n}\nname: n{n}\ndef: {value}\n" for n, value in enumerate(definitions))
    found = read(write(tmp_path / "own.obo", text), notes)
    assert [term.definition for term in found] == [
        'Says "so" [1] often.',
        "No quotes.",
        "No end",
        "Cut by a line end.",
        "",
    ]
    assert notes == [
        "1 text with unescaped quotes repaired (first: line 4)",
        "2 texts without quotes repaired (first: line 8)",
        "1 line end inside a quoted text replaced by a blank (first: line 16)",
    ]


def test_lines_that_are_not_obo_and_lines_that_go_on(tmp_path: Path) -> None:
    notes: list[str] = []
    text = (
        "\ufeffformat-version: 1.2\r\n<<<<<<< HEAD\r\n[term]\r\nid: X:1\r\nname: long \\\r\n  name\r\n"
        'comment: stray \\\r\nsynonym: "a" EXACT []\r\nno tag\r\n[Instance]\r\nid: X:2\r\nname: b\r\n'
    )
    (term,) = read(write(tmp_path / "own.obo", text), notes)
    assert [name.text for name in term.names] == ["long name", "a"]
    assert notes == [
        "2 lines skipped: neither a stanza nor a tag with its value (first: line 2)",
        "1 instance skipped",
    ]


def test_terms_that_stand_twice_or_have_two_names(tmp_path: Path) -> None:
    notes: list[str] = []
    text = (
        "[Term]\nid: X:1\nname: a\n\n[Term]\nid: X:2\nname: c\nname: d\n\n"
        '[Term]\nid: X:1\nname: a\ndef: "D." []\nsynonym: "b" EXACT []\n\n'
        "[Term]\nid: X:2\nis_obsolete: TRUE\n"
    )
    assert read(write(tmp_path / "own.obo", text), notes) == [
        Concept("X:1", (Name("a"), Name("b")), "disease", definition="D.")
    ]
    assert notes == [
        "1 term with several names: the first is the preferred name (first: line 5)",
        "2 repeated ids merged with the concept before (first: line 10)",
        "1 obsolete concept skipped (0 with a successor)",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("compound {P=O}", "compound {P=O}"),
        ('compound {R} {source="X", other="a ! b"} ! c', "compound {R}"),
        ("(?<!x) or {y!", "(?<!x) or {y!"),
        ("beta\\: a\\,b \\(c\\) \\W d\\\\", "beta: a,b (c) d\\"),
    ],
)
def test_names_with_braces_and_signs(tmp_path: Path, name: str, expected: str) -> None:
    (term,) = read(write(tmp_path / "own.obo", f"[Term]\nid: X:1\nname: {name}\n"))
    assert term.names == (Name(expected),)


@pytest.mark.parametrize(
    "line",
    [
        'synonym: "' + '" [' * 60_000,
        'synonym: "' + '" EXACT x' * 40_000,
        "name: " + " {a=" * 60_000,
        'def: "' + " " * 120_000 + "[",
        "synonym: " + " EXAC" * 60_000,
        'def: "a\n' + "more\n" * 60_000,
    ],
)
def test_long_lines_take_time_in_proportion(tmp_path: Path, line: str) -> None:
    # With work that grows with its square, each of these takes minutes.
    path = write(tmp_path / "own.obo", f"[Term]\nid: X:1\nname: a\n{line}\n")
    start = time.process_time()
    assert len(read(path, synonyms="all")) == 1
    assert time.process_time() - start < 10
