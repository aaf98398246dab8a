"""Pairs on disk."""

import json
from pathlib import Path
from typing import Any

import pytest

from el.base.errors import InputError
from el.training.pairs import Item, Pair, read_pairs, write_pairs

PAIR = Pair(
    "227508/0",
    "Naloxone : before [ Naloxone ] after",
    "Naloxone",
    ("D009270", "with/slash"),
    (Item("D009270", 2, "Naloxone", "positive", 0.9), Item("with/slash", 0, "Clonidin", "negative", -0.25)),
    7,
)


def test_round_trip(tmp_path: Path) -> None:
    assert write_pairs(tmp_path / "pairs.jsonl", [PAIR, PAIR]) == 2
    assert list(read_pairs(tmp_path / "pairs.jsonl")) == [PAIR, PAIR]


def test_layout_of_the_released_training_data(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", [PAIR])
    assert json.loads((tmp_path / "pairs.jsonl").read_text()) == {
        "query": {
            "id": "227508/0",
            "content": "Naloxone : before [ Naloxone ] after",
            "mention": "Naloxone",
            "count": 7,
        },
        "concepts": ["D009270", "with/slash"],
        "items": [
            {"id": "D009270/2", "content": "Naloxone", "type": "positive", "score": 0.9},
            {"id": "with/slash/0", "content": "Clonidin", "type": "negative", "score": -0.25},
        ],
    }


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"id": "D1", "content": "x", "type": "positive", "score": 1},
        {"id": 5, "content": "x", "type": "positive", "score": 1},
        {"id": "D1/x", "content": "x", "type": "positive", "score": 1},
        {"id": "D1/0", "content": "x", "type": "perhaps", "score": 1},
        "D1/0",
    ],
)
def test_line_that_is_no_pair(tmp_path: Path, item: Any) -> None:
    write_pairs(tmp_path / "pairs.jsonl", [PAIR])
    row = json.loads((tmp_path / "pairs.jsonl").read_text())
    row["items"] = [item]
    with (tmp_path / "pairs.jsonl").open("a") as stream:
        stream.write(json.dumps(row) + "\n")
    pairs = read_pairs(tmp_path / "pairs.jsonl")
    assert next(pairs) == PAIR
    with pytest.raises(InputError, match="line 2: not a pair"):
        next(pairs)


@pytest.mark.parametrize("count", [0, -1, 1.5, "3"])
def test_a_pair_stands_for_one_mention_or_more(tmp_path: Path, count: object) -> None:
    write_pairs(tmp_path / "pairs.jsonl", [PAIR])
    row = json.loads((tmp_path / "pairs.jsonl").read_text())
    del row["query"]["count"]
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    assert next(read_pairs(tmp_path / "pairs.jsonl")).count == 1
    row["query"]["count"] = count
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match="line 1"):
        next(read_pairs(tmp_path / "pairs.jsonl"))
