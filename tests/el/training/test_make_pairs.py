"""Pairs made of mentions and of names."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from el.base.errors import ConfigError
from el.base.files import write_jsonl
from el.corpus.store import write_documents
from el.corpus.types import Document, Mention, Passage, Role, Span
from el.models.inputs import InputVariant
from el.ontology.ontology import Concept, Name, Ontology
from el.ontology.outside import OTHERS
from el.training.make_pairs import PairsConfig, make_pairs, mention_pairs, name_pairs, outside_pairs
from el.training.pairs import Item, Pair, read_pairs
from tests.tiny import tiny_ontology

CONFIG = PairsConfig(names=8, kinds=("chemical", "disease"), max_characters=60, descriptor_share=0.5, seed=1)
BARE = InputVariant()
TEXT = "Acute kidney injury (AKI) after aspirin. AKI is no cold, and aspirin no lead."


def mention(text: str, start: int, *ids: str, parts: tuple[str, ...] = (), role: Role = "single") -> Mention:
    return Mention(f"m{start}", (Span(start, start + len(text)),), text, "disease", ids, parts, role)


def document(*mentions: Mention, text: str = TEXT) -> Document:
    return Document("7", (Passage("title", 0, text),), mentions)


def pairs_of(*mentions: Mention, variant: InputVariant = BARE, text: str = TEXT) -> list[Pair]:
    return list(mention_pairs([document(*mentions, text=text)], tiny_ontology(), variant))


def concept(concept_id: str, *names: str, **more: Any) -> Concept:
    return Concept(concept_id, tuple(map(Name, names)), **({"kind": "disease"} | more))


def test_a_mention_and_the_preferred_name() -> None:
    (pair,) = pairs_of(mention("aspirin", 32, "D001241"))
    item = Item("D001241", 0, "Aspirin", "positive")
    assert pair == Pair("7/m32/0", "aspirin", "aspirin", ("D001241",), (item,))


def test_abbreviations_are_written_out() -> None:
    (pair,) = pairs_of(mention("AKI", TEXT.index("AKI is"), "D058186"))
    assert (pair.mention, pair.content) == ("Acute kidney injury", "Acute kidney injury")


def test_context_is_cut_at_the_offsets() -> None:
    variant = InputVariant(context_characters=10)
    first, second = (
        mention("aspirin", TEXT.index(place), "D001241") for place in ("aspirin. ", "aspirin no")
    )
    one, other = pairs_of(first, second, variant=variant)
    assert one.content == "aspirin : after  [ aspirin ] . AKI is"
    assert other.content == "aspirin : cold, and  [ aspirin ]  no lead."
    assert one.mention == other.mention == "aspirin"


def test_definitions_stand_behind_the_name() -> None:
    ontology = Ontology.from_concepts([concept("D1", "Aspirin", "ASA", definition="A well-known drug.")])
    variant = InputVariant(definition_characters=12)
    (pair,) = mention_pairs([document(mention("aspirin", 32, "D1"))], ontology, variant)
    assert pair.items[0].content == "Aspirin : A well-known"
    assert pair.content == "aspirin"
    (pair,) = name_pairs(ontology, replace(CONFIG, names=1, descriptor_share=1.0), 12)
    assert pair.items[0].content in ("Aspirin : A well-known", "ASA : A well-known")
    assert pair.content in ("Aspirin", "ASA")


def test_composites_as_wholes_and_in_parts() -> None:
    text = "Lithium and lead poisoning"
    whole = mention("Lithium and lead", 0, "D008094", "D007854", parts=("Lithium", "lead"), role="composite")
    part = mention("Lithium", 0, "D008094", role="part")
    pairs = pairs_of(whole, part, text=text)
    assert [(pair.id, pair.mention, pair.concept_ids) for pair in pairs] == [
        ("7/m0/0", "Lithium and lead", ("D008094", "D007854")),
        ("7/m0/1", "Lithium", ("D008094",)),
        ("7/m0/2", "lead", ("D007854",)),
    ]
    assert [item.concept_id for item in pairs[0].items] == ["D008094", "D007854"]


def test_unknown_ids_are_left_out() -> None:
    assert pairs_of(mention("aspirin", 32, "D999999"), mention("cold", TEXT.index("cold"))) == []
    (pair,) = pairs_of(mention("aspirin", 32, "D999999", "D001241"))
    assert pair.concept_ids == ("D001241",)
    assert [item.concept_id for item in pair.items] == ["D001241"]


def test_duplicates_are_one_pair_without_context() -> None:
    text = "Aspirin, aspirin; ASPIRIN and aspirin"
    places = [0, 9, 18, 30]
    surfaces = [text[place : place + 7] for place in places]
    ids = ["D001241"] * 3 + ["D000111"]
    mentions = [mention(s, p, i) for s, p, i in zip(surfaces, places, ids, strict=True)]
    pairs = pairs_of(*mentions, text=text)
    assert [(pair.mention, pair.concept_ids, pair.count) for pair in pairs] == [
        ("Aspirin", ("D001241",), 3),
        ("aspirin", ("D000111",), 1),
    ]
    # Over documents too.
    twice = [document(mentions[0], text=text)] * 2
    assert [pair.count for pair in mention_pairs(twice, tiny_ontology(), BARE)] == [2]
    assert len(pairs_of(*mentions, text=text, variant=InputVariant(context_characters=5))) == 4


def test_two_names_of_one_concept() -> None:
    ontology = tiny_ontology()
    pairs = list(name_pairs(ontology, CONFIG, 0))
    # All descriptors: the half that supplementary records would give is missing.
    assert len(pairs) == 4
    for pair in pairs:
        (concept_id,) = pair.concept_ids
        names = [name.text for name in ontology[concept_id].names]
        (item,) = pair.items
        assert (item.type, item.concept_id) == ("positive", concept_id)
        assert item.content == names[item.place] != pair.content
        assert pair.content == pair.mention in names
        assert pair.id == f"{concept_id}/{names.index(pair.content)}"
        assert ontology[concept_id].kind != "other"


def test_draw_is_that_of_the_seed() -> None:
    config = replace(CONFIG, names=50, descriptor_share=1.0)
    draws = [list(name_pairs(tiny_ontology(), replace(config, seed=seed), 0)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_small_pools_are_gone_through_again_and_evenly() -> None:
    ontology = tiny_ontology()
    several = sum(len(c.names) > 1 and c.kind != "other" for c in ontology)
    pairs = list(name_pairs(ontology, replace(CONFIG, names=3 * several, descriptor_share=1.0), 0))
    counts = [[pair.concept_ids[0] for pair in pairs].count(c.id) for c in ontology]
    assert sorted(set(counts)) == [0, 3]
    acetaminophen = {(p.content, p.items[0].content) for p in pairs if p.concept_ids == ("D000082",)}
    assert len(acetaminophen) > 1


def test_share_of_descriptors() -> None:
    ontology = Ontology.from_concepts(
        concept(f"{kind[0]}{i}", f"{kind} {i}", f"{kind} no. {i}", record=kind)
        for kind in ("descriptor", "supplementary")
        for i in range(20)
    )
    for share, descriptors in ((0.0, 0), (0.25, 2), (1.0, 8)):
        pairs = list(name_pairs(ontology, replace(CONFIG, descriptor_share=share), 0))
        assert len(pairs) == 8
        assert sum(pair.concept_ids[0].startswith("d") for pair in pairs) == descriptors


def test_long_names_are_left_out() -> None:
    ontology = Ontology.from_concepts(
        [concept("D1", "short", "long " * 20, "shorter"), concept("D2", "one", "long " * 20)]
    )
    config = replace(CONFIG, names=10, descriptor_share=1.0)
    pairs = list(name_pairs(ontology, config, 0))
    assert {pair.concept_ids for pair in pairs} == {("D1",)}
    for pair in pairs:
        assert {pair.content, pair.items[0].content} == {"short", "shorter"}
        assert pair.items[0].place in (0, 2)


def test_files_and_report(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        write_documents(tmp_path / "corpus" / f"{split}.jsonl", [document(mention("aspirin", 32, "D001241"))])
    tiny_ontology().save(tmp_path / "ontology")
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        make_pairs(tmp_path / "ontology", tmp_path / "corpus", CONFIG, BARE, out)
    assert json.loads((outs[0] / "report.json").read_text()) == {"names": 4, "train": 1, "dev": 1}
    for path in sorted(outs[0].iterdir()):
        assert path.read_bytes() == (outs[1] / path.name).read_bytes()
    assert [pair.mention for pair in read_pairs(outs[0] / "dev.jsonl")] == ["aspirin"]


def test_nothing_to_pair(tmp_path: Path) -> None:
    Ontology.from_concepts([concept("D1", "alone")]).save(tmp_path / "ontology")
    with pytest.raises(ConfigError, match="no concept of the kinds chemical, disease has two names to pair"):
        make_pairs(tmp_path / "ontology", tmp_path, CONFIG, BARE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outside_concepts_give_one_pair_each(tmp_path: Path) -> None:
    rows = [
        {"id": "MONDO:1", "names": ["SCA 99", "x" * 50, "spinocerebellar ataxia 99"]},
        {"id": "MONDO:2", "names": ["alone", "x" * 50]},
        {"id": "MONDO:3", "names": ["one", "two"]},
    ]
    write_jsonl(tmp_path / OTHERS, rows)
    config = replace(CONFIG, max_characters=40, outside=10)
    pairs = {pair.concept_ids: pair for pair in outside_pairs(tmp_path / OTHERS, config)}
    assert pairs.keys() == {("MONDO:1",), ("MONDO:3",)}
    pair = pairs["MONDO:1",]
    assert {pair.content, pair.items[0].content} == {"SCA 99", "spinocerebellar ataxia 99"}
    assert pair.items[0].place in (0, 2)
    assert len(list(outside_pairs(tmp_path / OTHERS, replace(config, outside=1)))) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": 0}, r"^names is 0"),
        ({"max_characters": 9}, r"^max_characters is 9"),
        ({"descriptor_share": 1.1}, r"^descriptor_share is 1\.1"),
        ({"descriptor_share": -0.1}, r"^descriptor_share"),
        ({"kinds": ("chemical", "gene")}, r"^kinds is .*gene"),
        ({"kinds": ()}, r"^kinds is \[\]"),
    ],
)
def test_config_out_of_range(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)
