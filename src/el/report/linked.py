"""Linked documents as one self-contained HTML page, that shows why each concept was chosen."""

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
from el.report.scripts import script_data
from el.report.segments import Segment, cut_segments

# Where MeSH's records can be read.
_MESH_RECORD = "https://meshb.nlm.nih.gov/record/ui?ui="

# What HTML cannot hold; lone surrogates cannot be written in UTF-8 either.
_UNPRINTABLE = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

# What may have decided: the word for it, and what it means. Others are shown as they are called.
_STAGES = {
    "learned_synonym": (
        "learned synonym",
        "most of the training mentions that are spelled like this one have the concept",
    ),
    "dictionary": ("dictionary", "a name of the concept is spelled like the mention"),
    "abbreviation": (
        "abbreviation",
        "the document defines the mention as a short form, and a name of the concept is spelled like the "
        "long form",
    ),
    "hypencoder": (
        "model (q-net)",
        "no training mention or spelling settles it; the mention’s q-net, with the other evidence, puts the "
        "concept first",
    ),
    "bi_encoder": (
        "model (bi-encoder)",
        "no training mention or spelling settles it; the dot product, with the other evidence, puts the "
        "concept first",
    ),
    "": ("unknown", "the linker does not say what decided"),
}


@contextlib.contextmanager
def linked_page(stream: TextIO, title: str, source: str = "") -> Iterator["LinkedPage"]:
    """Writes a page of linked documents; it is whole when the block ends well.

    Args:
        stream: open for text, in UTF-8.
        title: of the page.
        source: a line on what linked the documents, below the title; "" for none.

    Yields:
        The page, that takes one document after the other.
    """
    page = LinkedPage(stream, title, source)
    yield page
    page.close()


class LinkedPage:
    """A page that is written as documents come; none of them is kept.

    The page shows the documents' text with its mentions marked, and has beside it a panel for the mention
    that is pointed at. It needs no connection and loads nothing. Without scripts the text and a table of
    links below each document can be read.

    Args:
        stream, title, source: as of `linked_page`.
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
        """Writes what follows the documents; without it the page has no panel and no filters."""
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
    """A candidate as the page has it; only the id is there for an answer that is no candidate.

    Attributes:
        id: the concept's.
        name: its preferred name.
        score: to four decimals; None where there is none, or it is no number.
        matched_name: "" where that is the preferred name.
    """

    id: str
    name: str = ""
    score: float | None = None
    matched_name: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """A mention, for the marks in the text and the table of links.

    Attributes:
        text: its surface form.
        type: as the document has it.
        style: "chemical", "disease" or "other".
        answers: what it is linked to; none for NIL.
        first: of a NIL, the candidate that would have been the answer; None where there is none.
        score: the least of the answers' scores; of a NIL, that of `first`.
        margin: see `LinkedMention.margin`; None without candidates.
        stage: what decided.
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
        """What a screen reader says."""
        answers = "; ".join(f"{answer.name} {answer.id}".lstrip() for answer in self.answers)
        said = f"{self.text}: {answers or 'NIL'}"
        if self.score is None:
            return said
        return f"{said}, {'best score' if self.nil else 'score'} {_score_text(self.score)}"


@dataclass(frozen=True, slots=True)
class _Block:
    """A passage, or the gap before one: the tag that it stands in ("" for a gap) and its segments' texts."""

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
    style = mention.type if mention.type in ("chemical", "disease") else "other"
    return _Row(mention.text, mention.type, style, answers, first, score, _margin(linked), linked.decided_by)


def _blocks(linked: LinkedDocument) -> Iterator[_Block]:
    document = linked.document
    text = document.text
    stretches = list(_stretches(document))
    borders = [start for _, start, _ in stretches]
    segments = cut_segments(len(text), borders, [mention.mention for mention in linked.mentions])
    at = 0
    for tag, _, stop in stretches:
        own = []
        while at < len(segments) and segments[at].stop <= stop:
            own.append((segments[at], text[segments[at].start : segments[at].stop]))
            at += 1
        yield _Block(tag, tuple(own))


def _stretches(document: Document) -> Iterator[tuple[str, int, int]]:
    """(tag, start, stop) of each passage and of the gaps before them; together they are the whole text."""
    end = 0
    for passage in document.passages:
        if passage.offset > end:
            yield "", end, passage.offset
        end = passage.offset + len(passage.text)
        yield "h3" if passage.kind.startswith("title") else "p", passage.offset, end


def _candidates(mentions: Sequence[LinkedMention]) -> Markup:
    """What the panel shows, as JSON: each list of candidates once; for each mention (list, ids, margin)."""
    lists: dict[tuple[Link, ...], int] = {}
    rows = [
        (lists.setdefault(linked.links, len(lists)), linked.predicted, _margin(linked)) for linked in mentions
    ]
    return script_data({"lists": [[_candidate(link) for link in links] for links in lists], "mentions": rows})


def _candidate(link: Link) -> _Candidate:
    matched_name = "" if link.matched_name == link.name else link.matched_name
    return _Candidate(link.concept_id, link.name, _number(link.score), matched_name)


def _margin(linked: LinkedMention) -> float | None:
    return _number(linked.margin) if linked.links else None


def _number(value: float) -> float | None:
    """To four decimals; None for what is no number."""
    return round(value, 4) if math.isfinite(value) else None


def _stage(stage: str) -> tuple[str, str, str]:
    """The word for what decided, what it means, and what that makes of the candidates' nearest names."""
    label, meaning = _STAGES.get(stage, (stage.replace("_", " "), ""))
    # A learned synonym need not be like any of the concept's names.
    return label, meaning, "Closest" if stage == "learned_synonym" else "Matched"


def _score_text(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _record(concept_id: str) -> str:
    """The address of a MeSH record; "" for other ids."""
    return f"{_MESH_RECORD}{concept_id}" if re.fullmatch(MESH_ID, concept_id, re.ASCII) else ""


def _printable(value: Any) -> Any:
    """Text as it may stand in the page: escaped, without what HTML cannot hold, carriage returns kept."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = escape(_UNPRINTABLE.sub("\ufffd", value))
    return text.replace("\r", Markup("&#13;")) if "\r" in text else text


def _asset(name: str) -> Markup:
    return Markup(resources.files("el.report").joinpath("templates", name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    """As a Content-Security-Policy names a style or script that may run."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
