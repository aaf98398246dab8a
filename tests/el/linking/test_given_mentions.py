"""The mentions that are linked: given ones, and found ones beside them."""

import itertools
import random

import pytest

from el.corpus.types import Document, Mention, Passage, Span
from el.linking.mentions import MentionFinder
from el.ontology.spellings import Spellings
from tests.tiny import tiny_ontology
from tests.work import assert_in_proportion


@pytest.fixture(scope="module")
def finder() -> MentionFinder:
    ontology = tiny_ontology()
    return MentionFinder(ontology, Spellings.of_ontology(ontology), None, None)


def mention(number: int, *spans: tuple[int, int], type: str = "disease") -> Mention:
    return Mention(str(number), tuple(Span(*span) for span in spans), "", type)


def kept(finder: MentionFinder, given: list[Mention], found: list[Mention]) -> list[Mention]:
    document = Document("1", (Passage("p", 0, "x"),), tuple(given))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finder, "found", lambda documents: [tuple(found) for _ in documents])
        ((*mentions,),) = finder.mentions([document], "always", None)
    return mentions


def test_found_mentions_that_overlap_given_ones_are_left_out(finder: MentionFinder) -> None:
    rng = random.Random(0)
    for _ in range(300):
        given = []
        for number in range(rng.randrange(5)):
            bounds = sorted(rng.sample(range(30), 4))
            type = rng.choice(["disease", "gene"])
            spans = [(bounds[0], bounds[1]), (bounds[2], bounds[3])][: rng.randint(1, 2)]
            given.append(mention(number, *spans, type=type))
        found = [mention(9, (start, start + 3)) for start in range(0, 27, 4)]
        taken = [span for one in given for span in one.spans]
        free = [
            one for one in found if not any(span.start < one.stop and one.start < span.stop for span in taken)
        ]
        linked = [one for one in given if one.type != "gene"]
        expected = sorted([*linked, *free], key=lambda one: (one.start, one.stop))
        assert kept(finder, given, found) == expected


def test_many_given_and_found_mentions_take_time_in_proportion(finder: MentionFinder) -> None:
    def work(count: int) -> None:
        given = [mention(i, (4 * i, 4 * i + 2)) for i in range(count)]
        found = [mention(i, (4 * i + 2 - i % 2, 4 * i + 4)) for i in range(count)]
        assert len(kept(finder, given, found)) == count + (count + 1) // 2

    assert_in_proportion(work, 200)


def test_types_are_linked_by_their_kind_or_as_chosen(finder: MentionFinder) -> None:
    for type, types in itertools.product(("", "chemicalentity", "problem"), (None,)):
        assert finder.is_linked(type, types)
    for type in ("gene", "sequencevariant", "phenotype_x", "t058"):
        assert not finder.is_linked(type, None)
        assert finder.is_linked(type, {type})
        assert not finder.is_linked("disease", {type})
