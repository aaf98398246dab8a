"""Which gold ids a linker is scored on, and what is said about the others."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from el.base.errors import InputError
from el.corpus.types import Document, Mention, Passage, Span
from el.evaluation.gold import GoldIds, read_mapping
from el.evaluation.vocabularies import vocabulary_of

MESH = ("D003920", "D008687", "D009325", "D013274", "C011849", "C000657245", "C535575")


def chosen(
    ids: str,
    known: Collection[str] = MESH,
    mapping: Mapping[str, tuple[str, ...]] | None = None,
    type: str = "disease",
) -> tuple[tuple[str, ...] | None, list[str]]:
    """The ids that a mention is scored on (None for a mention that is left out), and the notes."""
    mention = Mention("0", (Span(0, 1),), "x", type, tuple(ids.split()))
    gold = GoldIds(frozenset(known), {"D000001": "D003920"}, mapping)
    (document,) = gold.documents([Document("1", (Passage("text", 0, "x"),), (mention,))])
    found = document.mentions[0].concept_ids if document.mentions else None
    assert gold.answerable == (found is not None and not frozenset(found).isdisjoint(known))
    return found, gold.notes()


@pytest.mark.parametrize(
    ("concept_id", "vocabulary"),
    [
        ("D003920", "MeSH"),
        ("C000657245", "MeSH"),
        ("c011849", "MeSH"),
        ("C0011849", "UMLS"),
        ("c0025598", "UMLS"),
        ("UMLS:C0027497", "UMLS"),
        ("omim:222100", "OMIM"),
        ("MIM:0123", "OMIM"),
        ("HP_0001250", "HP"),
        ("http://purl.obolibrary.org/obo/MONDO_0005148", "MONDO"),
        ("DOID:9351", "DOID"),
        ("SNOMEDCT_US:73211009", "SNOMED CT"),
        ("SCTID:73211009", "SNOMED CT"),
        ("E11.9", "ICD-10"),
        ("I10", "ICD-10"),
        ("ICD10CM:E11", "ICD-10"),
        ("CHEBI:6801", "ChEBI"),
        ("ORPHA:558", "Orphanet"),
        ("Orphanet_558", "Orphanet"),
        ("EFO:0000400", "EFO"),
        ("NCIT:C3224", "NCIT"),
        ("C3224", "NCIT"),
        ("C00031", "KEGG"),
        ("DB00331", "DrugBank"),
        ("rs334", "dbSNP"),
        ("7157", "numeric"),
        ("HOSP-12", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_vocabulary_of_an_id(concept_id: str, vocabulary: str) -> None:
    assert vocabulary_of(concept_id) == vocabulary


@pytest.mark.parametrize("ids", ["C0011849", "UMLS:C0011849", "OMIM:222100", "7157", "HP:0000001", "HOSP-1"])
def test_ids_of_other_vocabularies_are_left_out_and_counted(ids: str) -> None:
    found, (note,) = chosen(ids)
    assert found is None
    assert note.startswith("left out: 1 mention with ")
    assert note.endswith(f"({ids}), which this linker's ontology does not have")


def test_a_mention_is_scored_by_the_ids_that_are_known() -> None:
    found, notes = chosen("D009325 C0027497 D000001")
    assert found == ("D009325", "D003920")
    assert notes == [
        "scored by other ids: 1 mention also with UMLS ids (C0027497), "
        "which this linker's ontology does not have"
    ]


@pytest.mark.parametrize(
    ("ids", "read"),
    [
        ("d003920", "D003920"),
        ("D3920", "D003920"),
        ("D0003920", "D003920"),
        ("D000013274", "D013274"),
        ("c000657245", "C000657245"),
    ],
)
def test_another_spelling_is_read_and_reported(ids: str, read: str) -> None:
    assert chosen(ids) == (
        (read,),
        [f"1 mention with ids in another spelling: read as {ids} = {read}"],
    )


@pytest.mark.parametrize(
    ("ids", "known", "read"),
    [
        ("omim:0222100", ["OMIM:222100"], "OMIM:222100"),
        ("MIM:222100", ["OMIM:222100"], "OMIM:222100"),
        ("HP_0001250", ["HP:0001250"], "HP:0001250"),
        ("D003920", ["MESH:D003920"], "MESH:D003920"),
        ("hosp-012", ["HOSP-12"], "HOSP-12"),
        # What could be two ids, or an id of another vocabulary, is none.
        ("hosp-012", ["HOSP-12", "HOSP-0012"], None),
        ("OMIM:PS222100", ["OMIM:222100"], None),
        ("C0011849", ["C011849"], None),
        ("C11849", ["C011849"], None),
        ("C3224", ["C003224"], None),
        ("7157", ["OMIM:7157"], None),
    ],
)
def test_spellings_in_other_ontologies(ids: str, known: list[str], read: str | None) -> None:
    found, _ = chosen(ids, known)
    assert found in ((None, (ids,)) if read is None else ((read,),))


def test_an_id_of_the_ontologys_vocabulary_that_it_lacks_is_a_miss() -> None:
    assert chosen("D999999") == (
        ("D999999",),
        ["1 mention with ids that the ontology does not have (D999999); without another id, this is a miss"],
    )
    # An ontology without MeSH cannot know the id.
    found, (note,) = chosen("D999999", ["HP:0001250"])
    assert found is None
    assert "MeSH ids (D999999)" in note


def test_mentions_without_an_id() -> None:
    assert chosen("", type="drug") == ((), [])
    assert chosen("", type="gene") == (None, ["left out: 1 mention of type gene without an id"])
    assert chosen("D003920", type="t038")[0] == ("D003920",)


@pytest.mark.parametrize("ids", ["X\x1b[31m", "X\x9b2J", "X" * 5000, "X\u202e1"])
def test_notes_are_short_and_change_nothing_on_a_terminal(ids: str) -> None:
    (note,) = chosen(ids)[1]
    assert note.isprintable()
    assert len(note) < 300


def test_a_mapping_never_guesses(tmp_path: Path) -> None:
    path = tmp_path / "map.tsv"
    path.write_text(
        "# UMLS 2024\nCUI\tMeSH\r\nC0011849\tD003920\nC0011849\tMESH:D003920\n"
        "UMLS:C0025598\tD008687\n\nC1\tD009325\nC1\tD013274\nC2\tD999999\nC4\tD000001\n"
    )
    mapping = read_mapping(path)
    assert chosen("c0011849", mapping=mapping)[0] == ("D003920",)
    assert chosen("C0025598", mapping=mapping)[0] == ("D008687",)
    assert chosen("C4", mapping=mapping)[0] == ("D003920",)
    found, notes = chosen("C1", mapping=mapping)
    assert (found, notes) == (
        None,
        ["left out: 1 mention with ids that the mapping gives several targets (C1 = D009325 or D013274)"],
    )
    found, notes = chosen("C2", mapping=mapping)
    assert found is None
    assert "mapped to ids that the ontology does not have (C2 = D999999)" in notes[0]
    # What the mapping lacks is left out by its vocabulary.
    assert "UMLS ids (C0000970)" in chosen("C0000970", mapping=mapping)[1][0]
    # The ontology's own ids are not mapped.
    assert chosen("D009325", mapping={"d009325": ("D003920",)})[0] == ("D009325",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C0011849,D003920\n", "line 1: 1 filled columns separated by tabs, not 2"),
        ("C0011849\tD003920\nC0011849\t\n", "line 2: 1 filled columns"),
        ("C0011849\tD003920\tDiabetes\n", "line 1: 3 filled columns"),
        ("cui\tmesh\n", "maps no ids"),
        ("", "maps no ids"),
    ],
)
def test_a_broken_mapping_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "map.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_mapping(path)
    with pytest.raises(InputError, match="no such file"):
        read_mapping(tmp_path / "absent.tsv")
