import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from el.base.errors import ConfigError, ElError, InputError, MismatchError
from el.base.files import read_json, write_json
from el.corpus.types import Document, LinkedDocument, Mention, Passage, Span, margin_of
from el.index.vectors import NameVectors
from el.linking.config import LinkerConfig
from el.linking.evidence import Combination
from el.linking.folder import save_linker
from el.linking.linker import Decision, Linker
from el.linking.query import Query, mention_queries
from el.linking.rankers import ModelRanker, Retrieved
from el.linking.synonyms import LearnedSynonyms
from el.models.inputs import InputVariant
from el.models.loading import load_model
from el.ontology.ontology import Ontology
from el.ontology.spellings import Spellings
from el.tagging.finder import DictionaryFinder
from el.tagging.store import load_tagger, word_embeddings
from el.tagging.tagger import Tagger
from tests.tiny import save_tiny_linker, tiny_combinations

TEXT = "Hepatic failure after acetylsalicylic acid (ASA): ASA, APAP, a cold and jaundiced skin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    synonyms = LearnedSynonyms.of_documents([document("jaundiced skin", "D017093")], {"D017093"})
    return save_tiny_linker(tmp_path_factory.mktemp("linker") / "linker", synonyms=synonyms)


@pytest.fixture(scope="module")
def linker(folder: Path) -> Linker:
    return Linker.load(folder)


@pytest.fixture(scope="module")
def tagging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_linker(tmp_path_factory.mktemp("tagging") / "linker", with_tagger=True)


def document(form: str, *ids: str) -> Document:
    """A document of which the whole text is one mention."""
    mention = Mention("0", (Span(0, len(form)),), form, "disease", ids)
    return Document("d", (Passage("title", 0, form),), (mention,))


def mentions_of(text: str, *forms: str) -> Document:
    """A document with mentions at the last places where the forms stand."""
    mentions = []
    for number, form in enumerate(forms):
        start = text.rindex(form)
        mentions.append(Mention(str(number), (Span(start, start + len(form)),), form, "disease"))
    mentions.sort(key=lambda mention: mention.start)
    return Document("d", (Passage("title", 0, text),), tuple(mentions))


def query(text: str, expanded: str = "") -> Query:
    return Query("d/0", "d", text, "disease", (), expanded or text)


def link_one(linker: Linker, document: Document, **options: Any) -> LinkedDocument:
    (linked,) = linker.link([document], **options)
    return linked


def test_each_stage_decides_what_it_can(linker: Linker) -> None:
    linked = link_one(linker, mentions_of(TEXT, "Hepatic failure", "ASA", "jaundiced skin"))
    reasons = [(m.mention.text, m.predicted, m.decided_by, m.links[0].matched_name) for m in linked.mentions]
    assert reasons[:2] == [
        ("Hepatic failure", ("D017093",), "dictionary", "Hepatic Failure"),
        ("ASA", ("D001241",), "abbreviation", "Acetylsalicylic Acid"),
    ]
    assert linked.mentions[2].decided_by == "hypencoder"
    assert linked.mentions[0].links[0].name == "Liver Failure"
    assert all(m.links[0].score > 0.99 for m in linked.mentions[:2])


def test_an_abbreviation_is_linked_by_what_it_stands_for(linker: Linker) -> None:
    # "APAP" is a name of acetaminophen, but this document says otherwise.
    (ours,) = linker.decide([query("APAP", "head pain")], 1)
    assert (ours.links[0].concept_id, ours.decided_by) == ("D006261", "abbreviation")


def test_the_dictionary_can_be_switched_off(folder: Path) -> None:
    (decision,) = Linker.load(folder, use_dictionary=False).decide([query("Headache")], 3)
    assert decision.decided_by == "hypencoder"
    assert decision.links[0].score < 0.9


def test_learned_synonyms_go_first_if_switched_on(folder: Path, linker: Linker) -> None:
    learned = Linker.load(folder, use_learned_synonyms=True)
    (decision,) = learned.decide([query("Jaundiced skin")], 5)
    assert (decision.links[0].concept_id, decision.decided_by) == ("D017093", "learned_synonym")
    assert decision.links[0].score > 0.99
    assert decision.links[0].matched_name in {"Liver Failure", "Hepatic Failure"}
    documents = [document("Headache", "D003139")]
    (decision,) = linker.restricted(None, documents).decide([query("Headache")], 1)
    assert (decision.links[0].concept_id, decision.decided_by) == ("D003139", "learned_synonym")
    (decision,) = learned.restricted(None).decide([query("jaundiced skin")], 1)
    assert decision.decided_by == "hypencoder"


def test_candidates_restrict_every_stage(linker: Linker) -> None:
    documents = [document("jaundiced skin", "D017093")]
    restricted = linker.restricted({"D006261", "D003139", "not known"}, documents)
    for text in ("Aspirin", "jaundiced skin", "cold"):
        (ranking,) = restricted.rank([query(text)], 10)
        assert set(ranking.concept_ids) == {"D006261", "D003139"}


@pytest.mark.parametrize("winner", ["D003139", "D029424", "D003080"])
def test_the_model_decides_among_concepts_that_share_a_name(
    linker: Linker, winner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert link_one(linker, mentions_of(TEXT, "cold")).mentions[0].decided_by == "dictionary"
    names = linker.ontology.name_rows(winner)

    def retrieve(_: ModelRanker, texts: list[str], proposed: object, alone: object) -> Retrieved:
        assert proposed is not None
        # The winner's last name scores best, then lithium, which is not called cold.
        rows = [names[-1], linker.ontology.name_rows("D008094")[0], *linker.ontology.name_rows("D003139")]
        scores = [5.0, 4.0, *[1.0] * (len(rows) - 2)]
        given = np.array([scores] * len(texts), dtype=np.float32)
        return Retrieved(np.array([rows] * len(texts), dtype=np.int64), given, given)

    monkeypatch.setattr(ModelRanker, "retrieve", retrieve)
    # One that remembers nothing.
    (decision,) = linker.restricted(None).decide([query("cold")], 3)
    assert decision.links[0].concept_id == winner
    # A common cold is called so, lithium is not.
    assert decision.links[1].concept_id == ("D008094" if winner == "D003139" else "D003139")


def test_scores_are_the_softmax_of_each_concepts_best_name(
    linker: Linker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = linker.ontology.name_rows("D000082"), linker.ontology.name_rows("D001241")
    rows = np.array([[first[0], first[2], second[1]]], dtype=np.int64)
    scores = np.array([[0.0, np.log(3), np.log(1)]], dtype=np.float32)
    monkeypatch.setattr(ModelRanker, "retrieve", lambda *_: Retrieved(rows, scores, scores))
    (decision,) = linker.decide([query("something")], 10)
    assert [link.concept_id for link in decision.links] == ["D000082", "D001241"]
    assert [link.score for link in decision.links] == pytest.approx([0.75, 0.25])
    assert [link.matched_name for link in decision.links] == ["APAP", "Acetylsalicylic Acid"]


def test_without_dictionary_the_ranking_is_the_models(folder: Path) -> None:
    linker = Linker.load(folder, use_dictionary=False)
    ranker = ModelRanker(linker.ranker.engine, linker.ranker.vectors, linker.ontology, 256)
    # More than the few that go alone, through networks that round differently.
    texts = ("Aspirin", "cold", "Aspirin", "unheard of", "lead", "skin", "COPD")
    queries = [query(text) for text in texts]
    ours, models = linker.rank(queries, 20), ranker.rank(queries, 20)
    assert [ranking.concept_ids for ranking in ours] == [ranking.concept_ids for ranking in models]
    assert len(ours[0].concept_ids) == len(linker.ontology)
    assert sum(ours[0].scores) == pytest.approx(1)


def test_the_model_ranks_behind_what_is_certain(folder: Path, linker: Linker) -> None:
    (ranking,) = linker.rank([query("Headache")], 20)
    (models,) = Linker.load(folder, use_dictionary=False).rank([query("Headache")], 20)
    assert ranking.concept_ids[0] == "D006261"
    assert ranking.concept_ids[1:] == tuple(i for i in models.concept_ids if i != "D006261")
    assert ranking.scores == tuple(sorted(ranking.scores, reverse=True))
    assert len(linker.rank([query("Headache")], 3)[0].concept_ids) == 3


def test_rank_and_link_give_the_same(linker: Linker) -> None:
    given = mentions_of(TEXT, "Hepatic failure", "ASA", "APAP", "cold", "skin")
    rankings = linker.rank(mention_queries(given, given.mentions), 10)
    linked = link_one(linker, given).mentions
    assert [tuple(link.concept_id for link in m.links) for m in linked] == [r.concept_ids for r in rankings]
    assert [tuple(link.score for link in m.links) for m in linked] == [r.scores for r in rankings]


def test_equal_inputs_are_scored_once(linker: Linker, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    retrieve = ModelRanker.retrieve

    def spy(self: ModelRanker, texts: list[str], *options: Any) -> Retrieved:
        seen.extend(texts)
        return retrieve(self, texts, *options)

    monkeypatch.setattr(ModelRanker, "retrieve", spy)
    list(linker.restricted(None).link([document("skin"), document("skin"), document("cold")]))
    assert sorted(seen) == ["cold", "skin"]


def test_documents_are_taken_as_they_are_needed_and_keep_their_order(linker: Linker) -> None:
    taken = 0

    def stream() -> Iterator[Document]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield replace(document("cold" if number % 2 else "skin"), id=str(number))

    linked = linker.link(stream())
    assert next(linked).document.id == "0"
    assert taken < 100
    rest = list(linked)
    assert [each.document.id for each in rest] == [str(number) for number in range(1, 200)]
    assert [m.mention.text for each in rest for m in each.mentions] == ["cold", "skin"] * 99 + ["cold"]


def test_documents_before_one_that_cannot_be_read_are_linked(linker: Linker) -> None:
    def stream() -> Iterator[Document]:
        yield document("cold")
        yield document("skin")
        raise InputError("file", "line 3", "is broken", "Check it")

    linked = linker.link(stream())
    assert [next(linked).document.text for _ in range(2)] == ["cold", "skin"]
    with pytest.raises(InputError, match="line 3"):
        next(linked)


def test_documents_that_share_an_id_do_not_count_for_each_other(
    linker: Linker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Query] = []

    def spy(self: Linker, queries: list[Query], k: int) -> list[Decision]:
        asked.extend(queries)
        return decide(self, queries, k)

    decide = Linker.decide
    monkeypatch.setattr(Linker, "decide", spy)
    linked = list(linker.link([document("cold"), document("cold")]))
    assert [one.document.id for one in linked] == ["d", "d"]
    assert len({query.document_id for query in asked}) == 2


def test_long_documents_are_linked_one_by_one(linker: Linker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("el.linking.linker._CHARACTER_BATCH", 6)
    taken = 0

    def documents() -> Iterator[Document]:
        nonlocal taken
        for _ in range(5):
            taken += 1
            yield document("cold")

    stream = linker.link(documents())
    next(stream)
    assert taken == 2
    assert len(list(stream)) == 4


def test_a_document_of_many_mentions_is_decided_in_pieces(
    linker: Linker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        linker, "_combination", Combination({"model": 1.0, "spelling": 2.0, "in_document": 5.0})
    )
    queries = [query(text) for text in ("skin", "cold", "coryza, acute", "copd", "cold", "lead")]
    at_once = linker.decide(queries, 3)
    monkeypatch.setattr("el.linking.linker._PIECE", 2)
    assert linker.decide(queries, 3) == at_once


def test_below_the_threshold_is_nil_but_candidates_stay(folder: Path, linker: Linker) -> None:
    given = mentions_of(TEXT, "cold", "jaundiced skin")
    score = link_one(linker, given).mentions[1].links[0].score
    for threshold, expected in ((score * 0.99, True), (score * 1.01, False)):
        certain, unsure = link_one(Linker.load(folder, nil_below=threshold), given).mentions
        assert certain.predicted
        assert bool(unsure.predicted) is expected
        assert unsure.links


def test_mentions_are_found_where_a_document_has_none(linker: Linker) -> None:
    bare = Document("d", (Passage("title", 0, TEXT),))
    found = link_one(linker, bare)
    assert [m.mention.text for m in found.mentions] == [
        "Hepatic failure",
        "acetylsalicylic acid",
        "ASA",
        "ASA",
        "APAP",
        "cold",
    ]
    assert all(bare.text_of(m.mention.spans) == m.mention.text for m in found.mentions)
    assert link_one(linker, bare, find_mentions="never").mentions == ()


def test_given_mentions_stay_when_others_are_found(linker: Linker) -> None:
    given = mentions_of(TEXT, "failure", "jaundiced skin")
    assert [m.mention for m in link_one(linker, given).mentions] == list(given.mentions)
    always = link_one(linker, given, find_mentions="always").mentions
    texts = [m.mention.text for m in always]
    assert texts == ["failure", "acetylsalicylic acid", "ASA", "ASA", "APAP", "cold", "jaundiced skin"]
    assert len({m.mention.id for m in always}) == len(always)


def test_a_composite_gets_one_id(linker: Linker) -> None:
    (linked,) = link_one(linker, document("acute liver and kidney failure", "D017114", "D058186")).mentions
    assert len(linked.predicted) == 1


def test_offsets_beyond_the_text_are_refused(linker: Linker) -> None:
    beyond = Mention("7", (Span(3, 99),), "x", "disease")
    with pytest.raises(ElError, match=r"document d, mention 7: offsets 3:99"):
        link_one(linker, Document("d", (Passage("title", 0, "short"),), (beyond,)))


def test_nothing_to_link(linker: Linker) -> None:
    empty = Document("d", (Passage("title", 0, "Nothing here."),))
    assert list(linker.link([])) == []
    assert link_one(linker, empty) == LinkedDocument(empty, ())
    assert linker.rank([], 3) == []


@pytest.mark.parametrize(
    "settings", [{"retrieved": 0}, {"top_k": 0}, {"nil_below": 1.5}, {"nil_below": -0.1}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        LinkerConfig(**settings)


def test_top_k_is_the_number_of_candidates(folder: Path) -> None:
    linker = Linker.load(folder, top_k=2)
    assert len(link_one(linker, document("skin")).mentions[0].links) == 2


def test_nothing_is_found_where_a_mention_is_passed_over(linker: Linker) -> None:
    text = "lithium and lead acetylsalicylic acid"
    gene = Mention("g", (Span(0, 11),), "lithium and", "gene")
    given = Document("d", (Passage("title", 0, text),), (gene,))
    found = link_one(linker, given, find_mentions="always").mentions
    assert [m.mention.text for m in found] == ["acetylsalicylic acid"]


class TestTagger:
    def test_finds_the_mentions_of_plain_text(self, tagging: Path) -> None:
        linker = Linker.load(tagging)
        finder = DictionaryFinder(Spellings.of_ontology(linker.ontology))
        tagger = Tagger(tagging / "tagger" / "compiled", finder)
        # It defines no abbreviation: those are found without the tagger too.
        text = TEXT.replace("(ASA)", "too")
        bare = Document("d", (Passage("title", 0, text),))
        expected = tagger.mentions([bare])[0]
        # It is random, and does not find what the dictionary does.
        assert expected
        assert expected != finder.mentions(bare)
        linked = list(linker.link([bare, mentions_of(text, "failure"), bare]))
        assert linker.mention_finder.found([bare])[0] == expected
        assert [m.mention.spans for m in linked[0].mentions] == [m.spans for m in expected]
        assert [m.mention.text for m in linked[1].mentions] == ["failure"]
        assert linked[2] == linked[0]
        assert linker.restricted(None).mention_finder.found([bare]) == [expected]

    def test_shares_the_models_embeddings(self, tagging: Path) -> None:
        model = load_model(tagging / "model")
        with pytest.raises(MismatchError, match="embeddings"):
            load_tagger(tagging / "tagger")
        assert load_tagger(tagging / "tagger", word_embeddings(model.query_tower.transformer))

    def test_of_another_linker_is_refused(self, tagging: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(tagging, tmp_path / "copy"))
        path = copy / "tagger" / "manifest.json"
        write_json(path, read_json(path) | {"weights": "another"})
        with pytest.raises(MismatchError, match="another tagger"):
            Linker.load(copy)
        shutil.rmtree(copy / "tagger")
        with pytest.raises(InputError, match="no tagger here"):
            Linker.load(copy)


class TestFolder:
    @pytest.fixture
    def copy(self, folder: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy"))

    def test_needs_nothing_outside(self, copy: Path, linker: Linker) -> None:
        assert Linker.load(copy).rank([query("skin")], 5) == linker.rank([query("skin")], 5)
        assert read_json(copy / "manifest.json")["made_by"] == {"data": "tiny"}

    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no linker here"):
            Linker.load(tmp_path / "nowhere")

    @pytest.mark.parametrize(
        ("key", "message"), [("format", "reads 'el-linker-9'"), ("ontology", "ontology"), ("model", "model")]
    )
    def test_parts_of_another_linker_are_refused(self, copy: Path, key: str, message: str) -> None:
        manifest = read_json(copy / "manifest.json")
        write_json(copy / "manifest.json", manifest | {key: "another"})
        with pytest.raises(MismatchError, match=message):
            Linker.load(copy)

    def test_vectors_of_another_model_are_refused(self, copy: Path) -> None:
        path = copy / "vectors" / "manifest.json"
        write_json(path, read_json(path) | {"model": "another"})
        with pytest.raises(MismatchError, match="another model"):
            Linker.load(copy)

    def test_unknown_settings_are_refused(self, copy: Path) -> None:
        manifest = json.loads((copy / "manifest.json").read_text())
        manifest["settings"]["retreived"] = 3
        write_json(copy / "manifest.json", manifest)
        with pytest.raises(InputError, match="retreived"):
            Linker.load(copy)

    def test_unknown_kinds_of_evidence_are_refused(self, copy: Path) -> None:
        write_json(
            copy / "combinations.json",
            {
                "model": {
                    "weights": {"colour": 1.0},
                    "none_weights": {},
                    "calibrations": {},
                    "found_below": 0.0,
                    "curve": [],
                }
            },
        )
        with pytest.raises(ConfigError, match="colour unknown"):
            Linker.load(copy)
        for broken in (["model"], {"model": 3}, {"model": {"weights": {}}}):
            write_json(copy / "combinations.json", broken)
            with pytest.raises(InputError, match=r"combinations\.json.*not weights"):
                Linker.load(copy)

    def test_weights_must_be_there_for_what_is_switched_on(self, copy: Path) -> None:
        write_json(
            copy / "combinations.json",
            {
                "model": {
                    "weights": {"model": 1.0},
                    "none_weights": {},
                    "calibrations": {},
                    "found_below": 0.0,
                    "curve": [],
                }
            },
        )
        assert Linker.load(copy, use_dictionary=False, use_types=False, use_document=False)
        with pytest.raises(
            ConfigError, match=r"no weights for model\+dictionary\+types\+document; it has weights for model"
        ):
            Linker.load(copy)

    def test_a_precision_becomes_a_threshold(self, copy: Path) -> None:
        path = copy / "combinations.json"
        points = [
            {"threshold": 0.2, "coverage": 0.9, "precision": 0.9, "lowest_precision": 0.8},
            {"threshold": 0.7, "coverage": 0.6, "precision": 0.97, "lowest_precision": 0.95},
        ]
        write_json(path, {name: one | {"curve": points} for name, one in read_json(path).items()})
        assert Linker.load(copy).config.nil_below is None
        assert Linker.load(copy, 0.9).config.nil_below == 0.7
        assert Linker.load(copy, 0.5).config.nil_below == 0.2
        with pytest.raises(ConfigError, match=r"a precision of 0\.99"):
            Linker.load(copy, 0.99)

    def test_learned_synonyms_must_be_there_if_switched_on(self, copy: Path) -> None:
        (copy / "learned_synonyms.tsv").unlink()
        assert Linker.load(copy).synonyms is None
        with pytest.raises(ConfigError, match="use_learned_synonyms"):
            Linker.load(copy, use_learned_synonyms=True)

    def test_what_does_not_fit_together_is_not_saved(self, folder: Path, copy: Path, tmp_path: Path) -> None:
        ontology = Ontology.load(folder / "ontology")
        vectors = NameVectors.open(folder / "vectors", ontology)
        smaller = Ontology.from_concepts(list(ontology)[:-1])
        smaller.save(tmp_path / "smaller")
        kept = (copy / "manifest.json").read_bytes()

        def save(ontology: Path, vectors: NameVectors) -> None:
            save_linker(
                copy,
                model=folder / "model",
                ontology=ontology,
                vectors=vectors,
                combinations=tiny_combinations(),
                config=LinkerConfig(),
                inputs=InputVariant(),
                made_by={},
            )

        with pytest.raises(MismatchError, match="another ontology"):
            save(tmp_path / "smaller", vectors)
        with pytest.raises(MismatchError, match="another model"):
            save(folder / "ontology", replace(vectors, manifest=vectors.manifest | {"model": "another"}))
        assert (copy / "manifest.json").read_bytes() == kept


def test_a_composite_gets_the_concepts_of_its_parts(folder: Path, linker: Linker) -> None:
    text = "acute hepatic and renal failure"
    linked = link_one(linker, mentions_of(text, text)).mentions[0]
    # The parts share their last word; "acute hepatic failure" and "renal failure" are no pair of names.
    assert len(linked.predicted) == 1
    text = "headache, common cold or liver failure"
    linked = link_one(linker, mentions_of(text, text)).mentions[0]
    assert linked.predicted == ("D006261", "D003139", "D017093")
    assert [link.concept_id for link in linked.links[:3]] == list(linked.predicted)
    assert [score is not None for score in linked.scores] == [True] * 3
    assert len({link.concept_id for link in linked.links}) == len(linked.links)
    few = link_one(Linker.load(folder, top_k=1), mentions_of(text, text)).mentions[0]
    assert few.predicted == linked.predicted
    # Each answer has to be sure enough.
    none = link_one(Linker.load(folder, nil_below=1.0), mentions_of(text, text)).mentions[0]
    assert none.predicted == ()


def test_parts_are_of_the_mentions_type(linker: Linker) -> None:
    text = "aspirin and headache"
    given = mentions_of(text, text)
    assert len(link_one(linker, given).mentions[0].predicted) == 1
    untyped = replace(given, mentions=(replace(given.mentions[0], type=""),))
    assert link_one(linker, untyped).mentions[0].predicted == ("D001241", "D006261")


@pytest.mark.parametrize(
    ("text", "surest", "expected"),
    [
        ("liver and kidney damage", {"liver damage": "D017093", "kidney damage": "D058186"}, 2),
        ("kidney damage or pain", {"kidney damage": "D058186", "kidney pain": "D006261"}, 2),
        (
            "types 1 and 2 liver damage",
            {"type 1 liver damage": "D017114", "type 2 liver damage": "D017093"},
            2,
        ),
        # One part alone is sure, both parts are one concept, or the whole is as sure as they are.
        ("liver and kidney damage", {"liver damage": "D017093"}, 1),
        ("liver and hepatic damage", {"liver damage": "D017093", "hepatic damage": "D017093"}, 1),
        (
            "liver and kidney rash",
            {"liver rash": "D017093", "kidney rash": "D058186", "liver and kidney rash": "D006261"},
            1,
        ),
    ],
)
def test_parts_are_linked_by_the_model_where_each_is_sure(
    linker: Linker, text: str, surest: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(len(linker.ontology.name_texts))

    def retrieve(_: ModelRanker, texts: list[str], *__: object) -> Retrieved:
        scores = np.zeros((len(texts), len(rows)), dtype=np.float32)
        for place, each in enumerate(texts):
            if each in surest:
                # A whole that is sure is surer than its parts.
                scores[place, linker.ontology.name_rows(surest[each])] = 9.0 if each == text else 6.0
        return Retrieved(np.tile(rows, (len(texts), 1)), scores, scores)

    monkeypatch.setattr(ModelRanker, "retrieve", retrieve)
    # One that remembers nothing.
    (linked,) = link_one(linker.restricted(None), mentions_of(text, text)).mentions
    assert len(linked.predicted) == expected
    if expected == 2:
        assert set(linked.predicted) == set(surest.values())


def test_learned_forms_are_parts_but_no_wholes(linker: Linker) -> None:
    text = "zonk and common cold"
    learned = [document("Zonk", "D006261"), document(text, "D006261", "D003139")]
    known = linker.restricted(None, learned)
    assert len(link_one(linker, mentions_of(text, text)).mentions[0].predicted) == 1
    assert link_one(known, mentions_of(text, text)).mentions[0].predicted == ("D006261", "D003139")


def test_mentions_behind_a_composite_keep_their_own_links(linker: Linker) -> None:
    text = "common cold and liver failure with a headache"
    linked = link_one(linker, mentions_of(text, "common cold and liver failure", "headache"))
    # Documents of one id are told apart too.
    again = list(linker.link([linked.document, linked.document]))
    assert [[m.predicted for m in one.mentions] for one in again] == [
        [("D003139", "D017093"), ("D006261",)]
    ] * 2


def test_types_that_are_linked(linker: Linker) -> None:
    names = ("Drug", "SpecificDisease", "Gene", "")
    mentions = tuple(
        Mention(str(place), (Span(0, 7),), "Aspirin", name.lower()) for place, name in enumerate(names)
    )
    given = Document("d", (Passage("title", 0, "Aspirin"),), mentions)

    def linked(**options: Any) -> list[str]:
        return [m.mention.type for m in link_one(linker, given, **options).mentions]

    assert linked() == ["drug", "specificdisease", ""]
    assert linked(types=["gene"]) == ["gene"]
    # What corpora call a chemical is one to the evidence of types.
    scores = {m.mention.type: m.links[0].score for m in link_one(linker, given).mentions}
    assert scores["drug"] >= scores["specificdisease"]


def test_a_short_form_and_its_long_form_are_linked_alike(linker: Linker) -> None:
    text = "Head pain (HP) and HP"
    linked = link_one(linker, mentions_of(text, "Head pain", "HP"))
    assert [m.predicted for m in linked.mentions] == [("D006261",)] * 2


def test_a_linker_travels_to_other_processes(folder: Path, linker: Linker) -> None:
    changed = Linker.load(folder, top_k=2)
    again = pickle.loads(pickle.dumps(changed))
    assert again.config == changed.config
    assert again.rank([query("cold")], 3) == changed.rank([query("cold")], 3)
    with pytest.raises(TypeError, match="loaded from a folder"):
        pickle.dumps(linker.restricted(None))


def test_a_document_is_linked_alike_whatever_comes_before(tagging: Path) -> None:
    """With others or alone, first or last: the same scores to the last digit."""
    texts = [
        TEXT,
        "A cold.",
        "Lithium, lead, sodium, headache and aspirin.",
        "Nothing",
        TEXT[:40],
        "COPD " * 9,
    ]
    documents = [Document(str(number), (Passage("title", 0, text),)) for number, text in enumerate(texts)]
    given = [*documents, mentions_of(TEXT, "ASA", "jaundiced skin"), document("skin rash and failure")]
    linkers = [Linker.load(tagging) for _ in range(3)]
    alone = [link_one(linkers[0], each) for each in given]
    assert list(linkers[1].link(given)) == alone
    assert list(linkers[1].link(given[::-1])) == alone[::-1]
    # Single mentions have separate networks.
    for _ in range(12):
        assert link_one(linkers[2], given[-1]) == alone[-1]
    assert list(linkers[2].link(given)) == alone


def test_several_threads_may_use_one_linker(tagging: Path) -> None:
    linker = Linker.load(tagging)
    texts = [f"{name} and a cold" for name in ("Lithium", "Headache", "COPD", "Aspirin")] * 5
    expected = [linker(text) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(linker, texts)) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_may_use_the_linker(tagging: Path) -> None:
    """In a process of its own, which a limit of time ends: what goes wrong here hangs."""
    script = """
import os, sys
from el import Linker
linker = Linker.load(sys.argv[1])
texts = ["Lithium and a cold", "Headache", "COPD, lead, sodium, aspirin, cold"] * 6
expected = [linker(text) for text in texts]
child = os.fork()
if not child:
    os._exit([linker(text) for text in texts] != expected)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", script, str(tagging)], check=True, timeout=120)


def test_a_found_mention_has_the_type_of_its_concept(linker: Linker, monkeypatch: pytest.MonkeyPatch) -> None:
    """An abbreviation of a disease is found as a chemical here."""
    wrong = Mention("0", (Span(0, 4),), "COPD", "chemical")
    monkeypatch.setattr(linker.mention_finder, "found", lambda documents: [(wrong,)] * len(documents))
    (found,) = linker("COPD, as written").mentions
    assert found.predicted
    assert found.type == "disease"
    # A given mention keeps its type.
    given = Document("d", (Passage("title", 0, "COPD"),), (wrong,))
    assert [m.type for m in link_one(linker, given).mentions] == ["chemical"]


def test_the_margin_is_that_to_the_next_candidate(linker: Linker) -> None:
    linked = link_one(linker, mentions_of(TEXT, "jaundiced skin")).mentions[0]
    assert linked.margin == margin_of(linked.links) == linked.links[0].score - linked.links[1].score
    assert margin_of(linked.links[:1]) == linked.links[0].score
    assert margin_of(()) == 0.0


def test_the_margin_is_the_same_where_one_candidate_is_kept(folder: Path) -> None:
    # Both are new: after some mentions, others of their length go through other networks (`SingleMention`).
    linkers = Linker.load(folder, top_k=1), Linker.load(folder)
    for text in ("jaundiced skin", "headache, common cold or liver failure"):
        one, all = (link_one(each, mentions_of(text, text)).mentions[0] for each in linkers)
        assert len(one.links) < len(all.links)
        assert one.margin == all.margin


def test_the_margin_of_a_composite_is_the_least_of_its_parts(linker: Linker) -> None:
    parts = ("headache", "common cold", "liver failure")
    alone = [link_one(linker, mentions_of(part, part)).mentions[0].margin for part in parts]
    text = "headache, common cold or liver failure"
    linked = link_one(linker, mentions_of(text, text)).mentions[0]
    # Beside the others of the document each is read a little differently.
    assert linked.margin == pytest.approx(min(alone), abs=0.1)
    assert linked.margin > 0


def test_weighted_evidence_adds_up_to_the_logits(linker: Linker, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = linker._combination.weights
    monkeypatch.setattr(linker, "_combination", Combination(weights, {"constant": 2.0, "similarity": 0.5}))
    (decision,) = linker.decide([query("cold")], 4)
    weighted = linker.weighted_evidence(query("cold"))
    assert weighted["-1"]["constant"] == 2.0
    sums = {concept: sum(kinds.values()) for concept, kinds in weighted.items()}
    powers = np.exp(list(sums.values()))
    assert decision.links[0].score == pytest.approx(np.exp(sums[decision.links[0].concept_id]) / powers.sum())
    first, second = decision.links[:2]
    expected = np.log(first.score) - np.log(second.score)
    assert sums[first.concept_id] - sums[second.concept_id] == pytest.approx(expected, abs=1e-3)
