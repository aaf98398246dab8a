"""Gold ids that a linker can be scored on: those of its ontology, whatever the vocabulary of the corpus.

An id that the ontology cannot answer says nothing about the linker. It is left out and counted.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from el.base.errors import InputError
from el.corpus.types import Document, Mention
from el.evaluation.vocabularies import (
    NUMBERS,
    UNKNOWN,
    described,
    is_spelling_of,
    spelling_key,
    vocabulary_of,
)
from el.ontology.entries import text_lines
from el.ontology.ontology import kind_of_type
from el.ontology.retired import current_id

# Prefixes of ids that a mapping and a corpus may have or not.
_PREFIXES = ("MESH:", "UMLS:")
# Examples in a note. With more, the notes are longer.
_EXAMPLES = 3
# Characters of an example. Ids may be of any length.
_EXAMPLE_CHARACTERS = 80
_NEVER_RIGHT = "{} with ids that the ontology does not have ({examples}); without another id, this is a miss"
_REMEDY = "Give lines of two columns separated by a tab: an id of the corpus, and an id of the ontology"

# What is to be said about one mention -> the ids that are the reason.
_Remarks = defaultdict[str, list[str]]


@dataclass
class _Note:
    """Mentions that share a remark: their number, and the ids that are the reason."""

    count: int = 0
    ids: Counter[str] = field(default_factory=Counter)

    def add(self, ids: Iterable[str]) -> None:
        self.count += 1
        self.ids.update(ids)

    @property
    def mentions(self) -> str:
        return f"{self.count:,} mention{'s' if self.count != 1 else ''}"

    @property
    def examples(self) -> str:
        shown = ", ".join(_printable(text) for text, _ in self.ids.most_common(_EXAMPLES))
        return f"{shown}, ..." if len(self.ids) > _EXAMPLES else shown


class GoldIds:
    """Chooses the gold ids of mentions that a linker is scored on, and counts all others.

    An id is taken if the ontology has it. Otherwise these ways are tried, in this order:

    - a retired id is replaced by its current one;
    - an id that the mapping has is replaced, if the mapping names one id that the ontology has;
    - an id that is spelled differently, such as "d003920" or "OMIM:0123", is read as the ontology's id, if
      only one fits;
    - an id of a vocabulary that the ontology has, such as a MeSH id that is not in a part of MeSH, is kept.
      It counts as a miss.

    All other ids are left out. So is a mention that has no other ids.

    Args:
        known: the ids of the ontology; looking one up must be fast.
        retired: retired id -> current id.
        mapping: id -> ids of the ontology, as `read_mapping` returns them.

    Attributes:
        answerable: how many mentions have an id that the ontology has.
    """

    def __init__(
        self,
        known: Collection[str],
        retired: Mapping[str, str],
        mapping: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._known = known
        self._retired = retired
        self._mapping = mapping or {}
        self.answerable = 0
        self._without_id: Counter[str] = Counter()
        self._notes: defaultdict[str, _Note] = defaultdict(_Note)

    def documents(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yields documents with the mentions that count.

        A mention without any id counts if its type is a chemical or a disease. Types that mean chemical or
        disease are replaced by these words; other types stay.
        """
        for document in documents:
            yield replace(document, mentions=tuple(self._mentions(document.mentions)))

    def _mentions(self, mentions: Iterable[Mention]) -> Iterator[Mention]:
        for mention in mentions:
            kind = kind_of_type(mention.type)
            remarks: _Remarks = defaultdict(list)
            chosen = (self._chosen(concept_id, remarks) for concept_id in mention.concept_ids)
            ids = tuple(dict.fromkeys(concept_id for concept_id in chosen if concept_id is not None))
            scored = "scored by other ids: {} also with" if ids else "left out: {} with"
            for remark, of_remark in remarks.items():
                self._notes[remark.replace("{left out}", scored)].add(of_remark)
            if ids or (kind is not None and not mention.concept_ids):
                self.answerable += any(concept_id in self._known for concept_id in ids)
                yield replace(mention, concept_ids=ids, type=kind or mention.type)
            elif not mention.concept_ids:
                self._without_id[mention.type or "no type"] += 1

    def _chosen(self, given: str, remarks: _Remarks) -> str | None:
        """Returns the id that an id stands for, or None. Adds the id to the remarks about its mention."""
        concept_id = current_id(given, self._known, self._retired)
        if concept_id in self._known:
            return concept_id
        if targets := self._mapping.get(_mapping_key(given)):
            return self._mapped(given, targets, remarks)
        spelled = [i for i in self._of_spelling.get(spelling_key(given), ()) if is_spelling_of(given, i)]
        if len(spelled) == 1:
            remarks["{} with ids in another spelling: read as {examples}"].append(f"{given} = {spelled[0]}")
            return spelled[0]
        vocabulary = vocabulary_of(given)
        if vocabulary in self._vocabularies:
            remarks[_NEVER_RIGHT].append(given)
            return concept_id
        what = described(vocabulary)
        remarks[f"{{left out}} {what} ({{examples}}), which this linker's ontology does not have"].append(
            given
        )
        return None

    def _mapped(self, given: str, targets: Collection[str], remarks: _Remarks) -> str | None:
        current = {current_id(target, self._known, self._retired) for target in targets}
        shown = f"{given} = {' or '.join(sorted(current))}"
        if len(current) > 1:
            remarks["{left out} ids that the mapping gives several targets ({examples})"].append(shown)
            return None
        (target,) = current
        if target not in self._known:
            remarks[
                "{left out} ids that are mapped to ids that the ontology does not have ({examples})"
            ].append(shown)
            return None
        remarks["{} with mapped ids ({examples})"].append(shown)
        return target

    def notes(self) -> list[str]:
        """Returns a line for each kind of mention that does not count or has other ids than the corpus."""
        lines = [
            text.replace("{}", note.mentions).replace("{examples}", note.examples)
            for text, note in sorted(self._notes.items(), key=lambda pair: -pair[1].count)
        ]
        of_type = [
            f"left out: {count:,} mention{'s' if count != 1 else ''} of type {kind} without an id"
            for kind, count in self._without_id.most_common()
        ]
        return lines + of_type

    @cached_property
    def _of_spelling(self) -> dict[tuple[str, int] | None, list[str]]:
        found: defaultdict[tuple[str, int] | None, list[str]] = defaultdict(list)
        for concept_id in self._known:
            found[spelling_key(concept_id)].append(concept_id)
        found.pop(None, None)
        return dict(found)

    @cached_property
    def _vocabularies(self) -> set[str]:
        return {vocabulary_of(concept_id) for concept_id in self._known} - {UNKNOWN, NUMBERS}


def read_mapping(path: Path) -> dict[str, tuple[str, ...]]:
    """Reads a mapping from ids of a corpus to ids of an ontology.

    Args:
        path: two columns separated by tabs, in UTF-8, optionally gzipped. A first line without any digit is
            a header. Empty lines and lines that begin with `#` are skipped. An id may have several lines.

    Returns:
        The key of an id -> its different targets. The prefixes `MESH:` and `UMLS:` are dropped.

    Raises:
        InputError: the file is missing or not UTF-8, a line does not have two columns, or there are none.
    """
    targets: defaultdict[str, dict[str, None]] = defaultdict(dict)
    is_first = True
    for number, line in text_lines(path):
        content = line.rstrip("\r\n")
        if not content.strip() or content.startswith("#"):
            continue
        cells = [cell.strip() for cell in content.split("\t")]
        if len(cells) != 2 or not all(cells):
            problem = f"{len([cell for cell in cells if cell])} filled columns separated by tabs, not 2"
            raise InputError(path, f"line {number}", problem, _REMEDY)
        if not (is_first and not any(character.isdecimal() for character in content)):
            targets[_mapping_key(cells[0])][_without_prefix(cells[1])] = None
        is_first = False
    if not targets:
        raise InputError(path, "", "maps no ids", _REMEDY)
    return {key: tuple(of_key) for key, of_key in targets.items()}


def _printable(text: str) -> str:
    """Returns a text without control characters, which could change what a terminal shows."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= _EXAMPLE_CHARACTERS else f"{shown[:_EXAMPLE_CHARACTERS]}..."


def _mapping_key(concept_id: str) -> str:
    return _without_prefix(concept_id).casefold()


def _without_prefix(concept_id: str) -> str:
    return next(
        (concept_id[len(prefix) :] for prefix in _PREFIXES if concept_id.upper().startswith(prefix)),
        concept_id,
    )
