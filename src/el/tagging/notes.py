"""Makes up clinical notes with marked mentions, so that a tagger that learns from abstracts also reads notes.

The sentences are in `note_sentences.txt`. They were written for this project, with the dev half of
`benchmarks/clinical_notes` in view. A third of them holds no mention. Their slots are filled with
known forms ("HTN", "Lasix"), with their long forms, with mentions of annotated documents, and with names of
the ontology. The notes teach what a mention in a note looks like. They make no sense otherwise.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from el.base.errors import InputError
from el.corpus.known_forms import frequent_senses
from el.corpus.types import Document, Mention, Passage, Span
from el.corpus.views import mentions_full
from el.ontology.ontology import Ontology, kind_of_type
from el.tagging.labels import TYPES

SENTENCES = Path(__file__).with_name("note_sentences.txt")
_SLOT = re.compile(r"\{(\w+)\}")
# How often each source fills a slot: known forms, their long forms, mentions of documents, names of the
# ontology. With a larger share, the tagger sees more of that source.
_SHARES = (0.4, 0.2, 0.25, 0.15)
# The most words of a mention or a name that fills a slot. Notes have few long ones.
_MOST_WORDS = 4
# The fewest and the most sentences of a note. More make longer windows, which take more time a step.
_SENTENCE_RANGE = (5, 14)
# Texts that fill the other slots, separated by bars.
_FIXED: Mapping[str, tuple[str, ...]] = {
    slot: tuple(texts.split("|"))
    for slot, texts in (
        ("age", "72F|54M|67 yo M|31 y/o F|45-year-old woman|8-year-old boy|83 yr old lady"),
        ("time", "0342|14:30|this am|yesterday|last night|2 wks|1800 hrs|6 months"),
        (
            "dose",
            "500 mg|25mg|1 g|10|2.5|40 mcg|5 ml|0.4 mg/kg|2 puffs|10 units|1 tab|75 mcg|20 mEq|5%|80/400",
        ),
        ("frequency", "od|bd|tds|qds|BID|TID|daily|qHS|nocte|q6h|once daily|mane|twice a day|weekly|q4h PRN"),
        ("route", "IV|PO|IM|SC|SL|neb|PR|po|iv|topically|via NG"),
    )
}
# MeSH's trees of proteins and enzymes, which corpora do not mark as chemicals.
_UNMARKED = ("D08", "D12.776", "D23.050")
_RANGES = {"number": (10, 200), "digit": (1, 10), "days": (2, 15), "year": (1995, 2026)}


class NoteMaker:
    """Makes up clinical notes.

    Args:
        ontology: the ontology whose names fill slots.
        documents: the annotated documents whose mentions fill slots.
        seed: the seed of all draws.

    Raises:
        InputError: a sentence has a slot that is not known.
    """

    def __init__(self, ontology: Ontology, documents: Sequence[Document], seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._ontology = ontology
        self._documents = documents
        self._sentences = read_sentences(SENTENCES)

    def notes(self, count: int) -> Iterator[Document]:
        """Yields notes. Their mentions have a kind as their type, and no ids."""
        for number in range(count):
            yield self._note(f"made-up-note-{number}")

    def _note(self, note_id: str) -> Document:
        separator = "\n" if self._random.random() < 0.3 else " "
        text = ""
        mentions: list[Mention] = []
        for _ in range(int(self._random.integers(*_SENTENCE_RANGE))):
            text += separator if text else ""
            sentence = self._sentences[int(self._random.integers(len(self._sentences)))]
            place = 0
            for slot in _SLOT.finditer(sentence):
                text += sentence[place : slot.start()]
                form = self._form(slot[1])
                if slot.start() == 0:
                    form = form[:1].upper() + form[1:]
                if slot[1] in TYPES:
                    span = Span(len(text), len(text) + len(form))
                    mentions.append(Mention(str(len(mentions)), (span,), form, slot[1]))
                text += form
                place = slot.end()
            text += sentence[place:]
        return Document(note_id, (Passage("text", 0, text),), tuple(mentions))

    def _form(self, slot: str) -> str:
        """Returns a text for a slot."""
        if slot in _RANGES:
            return str(self._random.integers(*_RANGES[slot]))
        if slot in _FIXED:
            return self._one_of(_FIXED[slot])
        pools = self._pools[slot]
        shares = np.array([share if pool else 0.0 for share, pool in zip(_SHARES, pools, strict=True)])
        return self._one_of(pools[int(self._random.choice(len(pools), p=shares / shares.sum()))])

    def _one_of(self, forms: Sequence[str]) -> str:
        return forms[int(self._random.integers(len(forms)))]

    @cached_property
    def _pools(self) -> dict[str, tuple[list[str], ...]]:
        """For each slot of known forms, the texts of each source, in the order of `_SHARES`."""
        slots = (*TYPES, "other")
        # Dictionaries keep the order, so that the draws repeat.
        sources: list[dict[str, dict[str, None]]] = [{slot: {} for slot in slots} for _ in _SHARES]
        forms, long_forms, mentions, names = sources
        for form, long_form, kind in frequent_senses():
            forms[kind][form] = None
            if _is_short(long_form):
                long_forms[kind][long_form] = None
        for document in self._documents:
            for mention in mentions_full(document):
                type = kind_of_type(mention.type)
                if type is not None and _is_short(mention.text):
                    mentions[type][mention.text] = None
        ontology = self._ontology
        for row, numbers in enumerate(ontology.concepts["tree_numbers"].to_pylist()):
            kind, name = ontology.kinds[row], ontology.name_texts[int(ontology.first_name[row])]
            is_marked = numbers and not any(number.startswith(_UNMARKED) for number in numbers)
            if kind in TYPES and is_marked and _is_short(name):
                names[kind][name.lower() if name.istitle() else name] = None
        return {slot: tuple(list(source[slot]) for source in sources) for slot in slots}


def _is_short(text: str) -> bool:
    """Whether a text has few words, and no comma: "renal failure, acute" is the style of a thesaurus."""
    return len(text.split()) <= _MOST_WORDS and "," not in text


def read_sentences(path: Path) -> list[str]:
    """Reads the sentences of a file: its lines, without empty lines and those that begin with `#`.

    Raises:
        InputError: a sentence has a slot that is not known.
    """
    sentences = []
    known = {*TYPES, "other", *_FIXED, *_RANGES}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        for slot in _SLOT.findall(line):
            if slot not in known:
                problem = f"the slot {{{slot}}} is not known"
                raise InputError(path, f"line {number}", problem, f"Use one of {', '.join(sorted(known))}")
        sentences.append(line)
    return sentences
