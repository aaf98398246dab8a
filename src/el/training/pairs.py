"""Contrastive pairs as JSON lines: a query, its concepts, and names of these and of other concepts.

The format is that of the released Hypencoder's training data, with concept ids added:

    {"query": {"id": "227508/0", "content": "Naloxone", "mention": "Naloxone", "count": 3},
     "concepts": ["D009270"],
     "items": [{"id": "D009270/0", "content": "Naloxone", "type": "positive", "score": 1.0}, ...]}

An item's id is the id of its concept and the place of the name among the concept's names, from 0. `score` is
the similarity that the miner computed, or 1 before mining. `count` may be left out, and is then 1.
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
    """A name that a query is compared with.

    Attributes:
        concept_id: the id of the name's concept.
        place: the place of the name among the concept's names, from 0.
        content: what the passage tower reads: the name, with a definition if the input variant has
            definitions.
        type: "positive" if the concept is one of the query's, otherwise "negative".
        score: the similarity to the query, computed by the miner; 1 before mining.
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
        id: the origin of the query: document, mention and part, or concept and name.
        content: what the query tower reads: the mention, with context if the input variant has context.
        mention: the surface form alone. Names are mined by it.
        concept_ids: the ids that the query may be linked to.
        items: the names, positives first.
        count: how many equal mentions the pair stands for.
    """

    id: str
    content: str
    mention: str
    concept_ids: tuple[str, ...]
    items: tuple[Item, ...]
    count: int = 1


def write_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """Writes pairs, the file completely or not at all. Returns the number of pairs."""
    return write_jsonl(path, (_to_row(pair) for pair in pairs))


def read_pairs(path: Path) -> Iterator[Pair]:
    """Yields the pairs of a file.

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
        raise ValueError(f"count is {count!r}; it must be a whole number of 1 or more")
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
        raise ValueError(f"an item's type is {row['type']!r}; it must be positive or negative")
    concept_id, _, place = row["id"].rpartition("/")
    return Item(concept_id, int(place), row["content"], row["type"], row["score"])
