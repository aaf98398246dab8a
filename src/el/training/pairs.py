"""Contrastive pairs as JSON lines: a query, its concepts, and names that fit or do not fit.

The layout is the one of the released Hypencoder's training data, with concept ids added:

    {"query": {"id": "227508/0", "content": "Naloxone", "mention": "Naloxone", "count": 3},
     "concepts": ["D009270"],
     "items": [{"id": "D009270/0", "content": "Naloxone", "type": "positive", "score": 1.0}, ...]}

An item's id is its concept's id and the name's place among the concept's names, from 0. `score` is
the similarity that the miner gave it, or 1 where nothing was mined. `count` may be left out; it is 1 then.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from el.base.errors import InputError
from el.base.files import read_jsonl, write_jsonl

ItemType = Literal["positive", "negative"]


@dataclass(frozen=True, slots=True)
class Item:
    """A name offered to a query.

    Attributes:
        concept_id: whose name it is.
        place: which of the concept's names, from 0.
        content: the name, with a definition where the variant has one.
        type: positive, if the concept is one of the query's; otherwise negative.
        score: similarity to the query when it was mined.
    """

    concept_id: str
    place: int
    content: str
    type: ItemType
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A query with the names that it is trained on.

    Attributes:
        id: where it comes from: document, mention and part, or concept and name.
        content: what the query tower reads: the mention, with context where the variant has it.
        mention: the bare surface form, by which names are mined.
        concept_ids: the concepts that it may be linked to.
        items: the names; positives first.
        count: how many mentions it stands for: equal ones are one pair.
    """

    id: str
    content: str
    mention: str
    concept_ids: tuple[str, ...]
    items: tuple[Item, ...]
    count: int = 1


def write_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """Writes pairs atomically. Returns how many."""
    return write_jsonl(path, (_to_row(pair) for pair in pairs))


def read_pairs(path: Path) -> Iterator[Pair]:
    """Reads pairs.

    Raises:
        InputError: the file is missing, or a line is not a pair.
    """
    for number, row in read_jsonl(path):
        try:
            yield _from_row(row)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                path, f"line {number}", f"not a pair ({error!r})", "Make the pairs again"
            ) from error


def _to_row(pair: Pair) -> dict[str, Any]:
    return {
        "query": {
            "id": pair.id,
            "content": pair.content,
            "mention": pair.mention,
            "count": pair.count,
        },
        "concepts": list(pair.concept_ids),
        "items": [
            {
                "id": f"{item.concept_id}/{item.place}",
                "content": item.content,
                "type": item.type,
                "score": round(item.score, 4),
            }
            for item in pair.items
        ],
    }


def _from_row(row: dict[str, Any]) -> Pair:
    count = row["query"].get("count", 1)
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"count {count!r}")
    return Pair(
        id=row["query"]["id"],
        content=row["query"]["content"],
        mention=row["query"]["mention"],
        concept_ids=tuple(row["concepts"]),
        items=tuple(_item(item) for item in row["items"]),
        count=count,
    )


def _item(row: dict[str, Any]) -> Item:
    if row["type"] not in ("positive", "negative"):
        raise ValueError(f"type {row['type']!r}")
    concept_id, _, place = row["id"].rpartition("/")
    return Item(concept_id, int(place), row["content"], row["type"], row["score"])
