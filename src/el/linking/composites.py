"""Splits mentions that name several concepts at once, such as "renal and hepatic failure"."""

import re
from collections.abc import Callable, Iterator, Sequence

_AND = re.compile(r",\s*(?:and|or)\s+|\s+(?:and/or|and|or)\s+|,\s*|\s*/\s*")
# The most words that the parts may share at the end, or at the beginning. A larger value tries more readings.
_SHARED_WORDS = 3


def parts_of(
    text: str, is_name: Callable[[str], bool], is_learned: Callable[[str], bool] = lambda _: False
) -> tuple[str, ...]:
    """Returns the names that a coordination stands for, if all its parts are names.

    "renal and hepatic failure" is "renal failure" and "hepatic failure"; "pulmonary edema or fibrosis" is
    "pulmonary edema" and "pulmonary fibrosis"; "nausea and vomiting" is both.

    Args:
        text: the mention.
        is_name: whether the ontology has a name that is spelled like a text.
        is_learned: whether learned synonyms have a text. It is asked for the parts only: learned synonyms may
            contain the whole coordination.

    Returns:
        Two or more names; none if the text is a name itself, or if no reading makes all parts names.
    """
    pieces = [piece for piece in _AND.split(text) if piece.strip()]
    if len(pieces) < 2 or is_name(text):
        return ()
    readings = (parts for parts in _readings(pieces) if all(is_name(p) or is_learned(p) for p in parts))
    return next(readings, ())


def _readings(pieces: Sequence[str]) -> Iterator[tuple[str, ...]]:
    first, last = pieces[0].split(), pieces[-1].split()
    for count in range(1, min(_SHARED_WORDS, len(last) - 1) + 1):
        tail = " ".join(last[-count:])
        yield (*(f"{piece} {tail}" for piece in pieces[:-1]), pieces[-1])
    for count in range(1, min(_SHARED_WORDS, len(first) - 1) + 1):
        head = " ".join(first[:count])
        yield (pieces[0], *(f"{head} {piece}" for piece in pieces[1:]))
    yield tuple(pieces)
