"""Fields that the formats share: concept ids, scores and candidates."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from el.corpus.types import Link, LinkedMention

NIL = "-1"

MESH_ID = r"[CDQ](?:\d{6}|\d{9})"
"""Ids of MeSH's records."""

_SEPARATORS = re.compile(r"[|;,+]")
_NIL_IDS = {"", "-", NIL}
_MESH_PREFIX = "MESH:"


def split_ids(text: str) -> list[str]:
    """Splits ids at `|`, `;`, `,` and `+`; an entry is "" where the corpus says that there is no concept.

    `MESH:` before an id is dropped, other prefixes (`OMIM:`) belong to the id and stay.
    """
    ids = [_without_mesh_prefix(piece.strip()) for piece in _SEPARATORS.split(text)]
    return ["" if concept_id in _NIL_IDS else concept_id for concept_id in ids]


def parse_ids(text: str) -> tuple[str, ...]:
    """Returns the concept ids in `text`, in order; none for NIL (`-1`, `-` or nothing)."""
    return tuple(concept_id for concept_id in split_ids(text) if concept_id)


def format_ids(ids: Iterable[str]) -> str:
    """Joins ids with `|`; `-1` if there are none."""
    return "|".join(ids) or NIL


def format_scores(scores: Iterable[float | None]) -> str:
    """Joins scores with `|`, to four decimals; nothing stands for None."""
    return "|".join("" if score is None else f"{score:.4f}" for score in scores)


def candidate_rows(links: Iterable[Link]) -> list[dict[str, Any]]:
    """Candidates as JSON values, keys id, name, score, matched_name."""
    return [
        {"id": link.concept_id, "name": link.name, "score": link.score, "matched_name": link.matched_name}
        for link in links
    ]


def link_row(linked: LinkedMention) -> dict[str, Any]:
    """What the linker says of a mention, as JSON values: predicted, decided_by, margin and candidates."""
    return {
        "predicted": list(linked.predicted),
        "decided_by": linked.decided_by,
        "margin": linked.margin,
        "candidates": candidate_rows(linked.links),
    }


class FreeIds:
    """Ids that nothing in a document has yet.

    Args:
        taken: those that something has.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        # By prefix; to count from 1 each time would take too long where thousands are needed.
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def take(self, wanted: str = "", prefix: str = "") -> str:
        """Returns an id that is not taken, and takes it: `wanted`, or else `prefix` and a free number."""
        numbered = (f"{prefix}{number}" for number in self._numbers[prefix])
        found = next(name for name in itertools.chain([wanted], numbered) if name and name not in self._taken)
        self._taken.add(found)
        return found


def _without_mesh_prefix(concept_id: str) -> str:
    if concept_id.upper().startswith(_MESH_PREFIX):
        return concept_id[len(_MESH_PREFIX) :]
    return concept_id
