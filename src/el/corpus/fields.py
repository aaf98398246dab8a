"""Fields that several formats share: concept ids, scores and candidates."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from el.corpus.types import Link, LinkedMention

NIL = "-1"

MESH_ID = r"[CDQ](?:\d{6}|\d{9})"
"""A pattern for the ids of MeSH's records."""

_SEPARATORS = re.compile(r"[|;,+]")
_NIL_IDS = {"", "-", NIL}
_MESH_PREFIX = "MESH:"


def split_ids(text: str) -> list[str]:
    """Splits ids at `|`, `;`, `,` and `+`. An entry for NIL (no concept) becomes "".

    The prefix `MESH:` is dropped. Other prefixes, such as `OMIM:`, are a part of the id and stay.
    """
    ids = [_without_mesh_prefix(piece.strip()) for piece in _SEPARATORS.split(text)]
    return ["" if concept_id in _NIL_IDS else concept_id for concept_id in ids]


def parse_ids(text: str) -> tuple[str, ...]:
    """Returns the concept ids in `text`, in order, without NIL (`-1`, `-` or an empty entry)."""
    return tuple(concept_id for concept_id in split_ids(text) if concept_id)


def is_one_id(concept_id: str) -> bool:
    """Whether an id is read as one id where `parse_ids` reads it; the prefix `MESH:` may be dropped.

    An id that holds a separator would be read as several ids. `-1` would be read as NIL.
    """
    return parse_ids(concept_id) == (_without_mesh_prefix(concept_id),)


def format_ids(ids: Iterable[str]) -> str:
    """Joins ids with `|`. Without ids, returns `-1` for NIL."""
    return "|".join(ids) or NIL


def format_scores(scores: Iterable[float | None]) -> str:
    """Joins scores with `|`, rounded to four decimals. An empty entry stands for None."""
    return "|".join("" if score is None else f"{score:.4f}" for score in scores)


def format_type(mention_type: str) -> str:
    """Returns a mention's type as BC5CDR and PubTator write it, with a capital: "Disease", "Chemical".

    A type that its capital would change stays as it is: readers turn types to lower case, and "ß" has "SS" as
    its capital.
    """
    capital = mention_type.capitalize()
    return capital if capital.lower() == mention_type else mention_type


def candidate_rows(links: Iterable[Link]) -> list[dict[str, Any]]:
    """Returns candidates as JSON objects with the keys id, name, score and matched_name.

    If the matched name is an outside name, there is the key source too.
    """
    return [
        {"id": link.concept_id, "name": link.name, "score": link.score, "matched_name": link.matched_name}
        | ({"source": link.source} if link.source else {})
        for link in links
    ]


def link_row(linked: LinkedMention) -> dict[str, Any]:
    """Returns a mention's links as a JSON object with predicted, decided_by, margin and candidates."""
    return {
        "predicted": list(linked.predicted),
        "decided_by": linked.decided_by,
        "margin": linked.margin,
        "candidates": candidate_rows(linked.links),
    }


class FreeIds:
    """Ids that are still free in a document.

    Args:
        taken: the ids that are in use.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        # One counter for each prefix: counting from 1 for every id takes too long for thousands of ids.
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def take(self, wanted: str = "", prefix: str = "") -> str:
        """Returns a free id and marks it as taken.

        Args:
            wanted: the id to return if it is free and not "".
            prefix: what stands before the number of any other id.
        """
        numbered = (f"{prefix}{number}" for number in self._numbers[prefix])
        found = next(name for name in itertools.chain([wanted], numbered) if name and name not in self._taken)
        self._taken.add(found)
        return found


def _without_mesh_prefix(concept_id: str) -> str:
    if concept_id.upper().startswith(_MESH_PREFIX):
        return concept_id[len(_MESH_PREFIX) :]
    return concept_id
