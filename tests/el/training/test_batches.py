"""Planned batches: no concept twice in a batch, every pair in turn."""

from collections import Counter
from dataclasses import replace
from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from el.training.batches import Source, plan_batches
from el.training.pairs import Pair


def pair(name: str, *concepts: str) -> Pair:
    return Pair(name, name, name, concepts, ())


@st.composite
def sources(draw: st.DrawFn) -> list[Source]:
    concepts = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3, unique=True)
    drawn = draw(st.lists(st.lists(concepts, min_size=1, max_size=12), min_size=1, max_size=2))
    return [
        Source([pair(f"{s}.{i}", *ids) for i, ids in enumerate(lists)], draw(st.integers(1, 5)))
        for s, lists in enumerate(drawn)
    ]


@given(sources(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_no_concept_twice_in_a_batch(drawn: list[Source], seed: int) -> None:
    batches = plan_batches(drawn, 6, seed)
    assert len(batches) == 6
    for batch in batches:
        assert batch
        concepts = Counter(chain.from_iterable(pair.concept_ids for pair in batch))
        assert max(concepts.values()) == 1
        for number, source in enumerate(drawn):
            assert sum(pair.id.startswith(f"{number}.") for pair in batch) <= source.per_batch
        # The first source fills its share, unless every pair of it that is left collides.
        own = [pair for pair in batch if pair.id.startswith("0.")]
        taken = set(chain.from_iterable(pair.concept_ids for pair in own))
        assert len(own) == drawn[0].per_batch or all(
            not taken.isdisjoint(pair.concept_ids) for pair in drawn[0].pairs
        )


@given(sources(), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_same_seed_same_batches(drawn: list[Source], seed: int) -> None:
    assert plan_batches(drawn, 4, seed) == plan_batches(drawn, 4, seed)
    # More steps begin with the same batches.
    assert plan_batches(drawn, 6, seed)[:4] == plan_batches(drawn, 4, seed)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_without_collisions_every_pair_is_used_before_any_again(count: int, each: int, seed: int) -> None:
    each = min(each, count)
    source = Source([pair(str(i), str(i)) for i in range(count)], each)
    steps = -(-3 * count // each)
    used = [pair.id for batch in plan_batches([source], steps, seed) for pair in batch]
    # A batch over the end of a round may hold a pair back that it has already.
    for number, name in enumerate(used):
        assert used[:number].count(name) <= number // count + 1
    assert max(Counter(used).values()) - min(Counter(used[: len(used) // count * count]).values()) <= 1


def test_one_round_is_a_permutation() -> None:
    source = Source([pair(str(i), str(i)) for i in range(12)], 4)
    batches = plan_batches([source], 6, 1)
    first, second = ([pair.id for batch in half for pair in batch] for half in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == sorted(str(i) for i in range(12))
    assert first != second
    assert first != [str(i) for i in range(12)]
    assert plan_batches([source], 6, 2) != batches


def test_pair_that_collides_comes_first_in_the_next_batch() -> None:
    source = Source([pair("1", "a"), pair("2", "a"), *(pair(name, name) for name in "bcdef")], 2)
    for seed in range(100):
        order = [source.pairs[i].id for i in np.random.default_rng(seed).permutation(7)]
        if set(order[:2]) == {"1", "2"}:
            first, second, *_ = plan_batches([source], 3, seed)
            assert [pair.id for pair in first] == [order[0], order[2]]
            assert [pair.id for pair in second] == [order[1], order[3]]
            return
    raise AssertionError("no seed makes the two collide")


def test_too_few_concepts_give_smaller_batches() -> None:
    batches = plan_batches([Source([pair("1", "a"), pair("2", "a")], 4)], 3, 1)
    assert [len(batch) for batch in batches] == [1, 1, 1]
    assert {batch[0].id for batch in batches} == {"1", "2"}


def test_sources_share_the_concepts_of_a_batch() -> None:
    mentions = Source([pair("m", "a")], 1)
    names = Source([pair("n1", "a"), pair("n2", "b")], 2)
    for batch in plan_batches([mentions, names], 30, 1):
        assert [pair.id for pair in batch] == ["m", "n2"]


def test_a_pair_of_many_mentions_comes_as_often_as_their_root() -> None:
    pairs = [replace(pair("often", "a"), count=9), pair("once", "b"), pair("too", "c")]
    batches = plan_batches([Source(pairs, 1)], 30, 1)
    assert Counter(pair.id for batch in batches for pair in batch) == {"often": 10, "once": 10, "too": 10}
    batches = plan_batches([Source(pairs, 1, repeated=True)], 50, 1)
    assert Counter(pair.id for batch in batches for pair in batch) == {"often": 30, "once": 10, "too": 10}


def test_neighbours_follow_a_pair_into_its_batch() -> None:
    pairs = [pair(str(number), str(number)) for number in range(12)]
    # The pairs 0 to 3 are near each other, and so on.
    near = np.array([[other for other in range(n // 4 * 4, n // 4 * 4 + 4) if other != n] for n in range(12)])
    for seed in range(5):
        batches = plan_batches([Source(pairs, 4, near)], 6, seed)
        for batch in batches:
            assert len({int(one.id) // 4 for one in batch}) == 1
        for epoch in (batches[:3], batches[3:]):
            assert sorted(int(one.id) for batch in epoch for one in batch) == list(range(12))


def test_a_neighbour_that_shares_a_concept_waits_for_the_next_batch() -> None:
    pairs = [pair("0", "a"), pair("1", "a"), pair("2", "b"), pair("3", "c")]
    near = np.array([[1, 2], [0, 2], [0, 1], [0, 1]])
    batches = plan_batches([Source(pairs, 2, near)], 2, 1)
    assert sorted(one.id for batch in batches for one in batch) == ["0", "1", "2", "3"]
    assert all(len({one.concept_ids for one in batch}) == 2 for batch in batches)
