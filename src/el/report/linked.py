"""Linked documents as one self-contained HTML page, which shows why each concept was chosen."""

import base64
import contextlib
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple, TextIO

import jinja2
from markupsafe import Markup, escape

from el.corpus.fields import MESH_ID
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention
from el.ontology.ontology import kind_of_type
from el.report.scripts import script_data
from el.report.segments import Segment, cut_segments

# The address of a MeSH record, without the id.
_MESH_RECORD = "https://meshb.nlm.nih.gov/record/ui?ui="

# Characters that HTML does not allow, and lone surrogates, which UTF-8 cannot encode.
_UNPRINTABLE = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

# For each stage that may have decided, the label and the meaning that the page shows. A stage that is not
# listed here is shown by its name.
_STAGES = {
    "learned_synonym": (
        "learned synonym",
        "most training mentions that are spelled like this mention have the concept",
    ),
    "dictionary": ("dictionary", "a name of the concept is spelled like the mention"),
    "outside_name": (
        "outside name",
        "a name that another ontology gives the concept is spelled like the mention or its long form",
    ),
    "abbreviation": (
        "abbreviation",
        "the document defines the mention as a short form, and a name of the concept is spelled like the "
        "long form",
    ),
    "hypencoder": (
        "model (q-net)",
        "neither training mentions nor spelling decide; the score of the mention’s q-net, with the other "
        "evidence, puts the concept first",
    ),
    "bi_encoder": (
        "model (bi-encoder)",
        "neither training mentions nor spelling decide; the dot product, with the other evidence, puts the "
        "concept first",
    ),
    "": ("unknown", "the linker does not report what decided"),
}


@contextlib.contextmanager
def linked_page(stream: TextIO, title: str, source: str = "") -> Iterator["LinkedPage"]:
    """Writes a page of linked documents. The page is complete when the block ends without an error.

    Args:
        stream: the text stream to write to, in UTF-8.
        title: the title of the page.
        source: a line below the title that says what linked the documents; "" for none.

    Yields:
        The page, which takes one document after the other.
    """
    page = LinkedPage(stream, title, source)
    yield page
    page.close()


class LinkedPage:
    """A page that is written while documents come. No document is kept in memory.

    The page shows the documents' texts with their mentions marked. A panel beside the text explains the
    mention that the reader points at. The page loads nothing and works offline. Without scripts it still
    shows the texts, and a table of links below each document.

    Args:
        stream: the text stream to write to, in UTF-8.
        title: the title of the page.
        source: a line below the title that says what linked the documents; "" for none.
    """

    def __init__(self, stream: TextIO, title: str, source: str = "") -> None:
        self._stream = stream
        self._documents = self._mentions = self._linked = 0
        self._types: Counter[str] = Counter()
        self._stages: Counter[str] = Counter()
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("el.report"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_printable,
        )
        self._templates.filters |= {"stage": _stage, "score": _score_text, "record": _record}
        self._style, self._script = _asset("linked.css"), _asset("linked.js")
        self._write(
            "linked_head.html",
            title=title,
            source=source,
            style=self._style,
            style_hash=_hash(self._style),
            script_hash=_hash(self._script),
        )

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document."""
        rows = [_row(mention) for mention in linked.mentions]
        self._documents += 1
        self._mentions += len(rows)
        self._linked += sum(not row.nil for row in rows)
        self._types.update(row.type for row in rows)
        self._stages.update(row.stage for row in rows)
        self._write(
            "linked_document.html",
            number=self._documents,
            id=linked.document.id,
            rows=rows,
            blocks=_blocks(linked),
            candidates=_candidates(linked.mentions),
        )

    def close(self) -> None:
        """Writes the end of the page. Without it the page has no panel and no filters."""
        self._write(
            "linked_tail.html",
            documents=self._documents,
            mentions=self._mentions,
            linked=self._linked,
            types=self._types.most_common(),
            stages=self._stages.most_common(),
            data=script_data(
                {
                    "id": f"^{MESH_ID}$",
                    "record": _MESH_RECORD,
                    "stages": {stage: _stage(stage) for stage in self._stages},
                }
            ),
            script=self._script,
        )

    def _write(self, template: str, **values: Any) -> None:
        for piece in self._templates.get_template(template).generate(**values):
            self._stream.write(piece)


class _Candidate(NamedTuple):
    """A candidate as the page shows it. An answer that is not among the candidates has an id only.

    Attributes:
        id: the concept's id.
        name: the concept's preferred name.
        score: the score, to four decimals; None if there is no score, or if it is not a finite number.
        matched_name: the name nearest to the mention, with its source if it is an outside name; "" if it is
            the preferred name.
    """

    id: str
    name: str = ""
    score: float | None = None
    matched_name: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """A mention, for the marks in the text and the table of links.

    Attributes:
        text: the surface form.
        type: the mention's type in the document.
        style: the class of the mark: the kind of the type, "chemical" or "disease"; "other" without one.
        answers: the concepts that the mention is linked to; none for NIL.
        first: for NIL, the first candidate, which was not good enough; None if there are no candidates.
        score: the lowest score of the answers; for NIL the score of `first`.
        margin: see `LinkedMention.margin`; None without candidates.
        stage: the stage that decided.
    """

    text: str
    type: str
    style: str
    answers: tuple[_Candidate, ...]
    first: _Candidate | None
    score: float | None
    margin: float | None
    stage: str

    @property
    def nil(self) -> bool:
        return not self.answers

    @property
    def label(self) -> str:
        """The text that a screen reader speaks."""
        answers = "; ".join(f"{answer.name} {answer.id}".lstrip() for answer in self.answers)
        label = f"{self.text}: {answers or 'NIL'}"
        if self.score is None:
            return label
        return f"{label}, {'best score' if self.nil else 'score'} {_score_text(self.score)}"


@dataclass(frozen=True, slots=True)
class _Block:
    """A passage, or the gap before a passage.

    Attributes:
        tag: the HTML tag of the passage; "" for a gap.
        segments: the segments, each with its text.
    """

    tag: str
    segments: tuple[tuple[Segment, str], ...]


def _row(linked: LinkedMention) -> _Row:
    mention = linked.mention
    of_id = {link.concept_id: link for link in linked.links}
    answers = tuple(
        _candidate(of_id[concept_id]) if concept_id in of_id else _Candidate(concept_id)
        for concept_id in linked.predicted
    )
    first = _candidate(linked.links[0]) if linked.links and not answers else None
    scored = answers or ((first,) if first else ())
    score = min((one.score for one in scored if one.score is not None), default=None)
    style = kind_of_type(mention.type) or "other"
    return _Row(mention.text, mention.type, style, answers, first, score, _margin(linked), linked.decided_by)


def _blocks(linked: LinkedDocument) -> Iterator[_Block]:
    document = linked.document
    text = document.text
    stretches = list(_stretches(document))
    borders = [start for _, start, _ in stretches]
    segments = cut_segments(len(text), borders, [mention.mention for mention in linked.mentions])
    at = 0
    for tag, _, stop in stretches:
        inside = []
        while at < len(segments) and segments[at].stop <= stop:
            inside.append((segments[at], text[segments[at].start : segments[at].stop]))
            at += 1
        yield _Block(tag, tuple(inside))


def _stretches(document: Document) -> Iterator[tuple[str, int, int]]:
    """Yields (tag, start, stop) of each passage and of each gap before one: together the whole text."""
    end = 0
    for passage in document.passages:
        if passage.offset > end:
            yield "", end, passage.offset
        end = passage.offset + len(passage.text)
        yield "h3" if passage.kind.startswith("title") else "p", passage.offset, end


def _candidates(mentions: Sequence[LinkedMention]) -> Markup:
    """Returns what the panel shows, as JSON.

    Each distinct list of candidates is stored once. A mention is stored as the number of its list, its
    answers and its margin.
    """
    lists: dict[tuple[Link, ...], int] = {}
    rows = [
        (lists.setdefault(linked.links, len(lists)), linked.predicted, _margin(linked)) for linked in mentions
    ]
    return script_data({"lists": [[_candidate(link) for link in links] for links in lists], "mentions": rows})


def _candidate(link: Link) -> _Candidate:
    matched_name = "" if link.matched_name == link.name else link.described_name
    return _Candidate(link.concept_id, link.name, _number(link.score), matched_name)


def _margin(linked: LinkedMention) -> float | None:
    return _number(linked.margin) if linked.links else None


def _number(value: float) -> float | None:
    """Returns a value to four decimals; None for infinity and for NaN."""
    return round(value, 4) if math.isfinite(value) else None


def _stage(stage: str) -> tuple[str, str, str]:
    """Returns the label of a stage, its meaning, and the word for the name that is nearest to the mention."""
    label, meaning = _STAGES.get(stage, (stage.replace("_", " "), ""))
    # A learned synonym may differ from all names of the concept, so "matched" would be wrong.
    return label, meaning, "Closest" if stage == "learned_synonym" else "Matched"


def _score_text(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _record(concept_id: str) -> str:
    """Returns the address of a MeSH record; "" for ids that are not MeSH's."""
    return f"{_MESH_RECORD}{concept_id}" if re.fullmatch(MESH_ID, concept_id, re.ASCII) else ""


def _printable(value: Any) -> Any:
    """Returns a value as the page may hold it.

    Text is escaped. Characters that HTML does not allow are replaced, and carriage returns are kept.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = escape(_UNPRINTABLE.sub("\ufffd", value))
    return text.replace("\r", Markup("&#13;")) if "\r" in text else text


def _asset(name: str) -> Markup:
    return Markup(resources.files("el.report").joinpath("templates", name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    """Returns the hash by which a Content-Security-Policy allows an inline style or script."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
