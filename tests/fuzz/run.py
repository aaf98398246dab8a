"""Fuzzer: links small files that were damaged in seeded ways, and reports what no user should see.

Each input is read as `el link` reads it, with and without --keep-going, linked by a linker that takes the
first name of its table, written in every format and as a page, and what was written is read again. Reported
are

- an error that is no message (any exception other than `ElError`);
- an input that takes longer than the limit;
- a document that is neither written nor reported, or whose text changes.

An input is made from the seed and its number alone, so `--start NUMBER --inputs 1` repeats it. Exit code 1 if
anything was found. The last line is a row for docs/reliability.md.
"""

import argparse
import contextlib
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from el.base.errors import ElError, InputError
from el.commands.files import Settings, link_into_one
from el.corpus.checks import MentionError
from el.corpus.formats import OUTPUT_FORMATS, OutputFormat, open_corpus
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Span
from el.linking.linker import Linker
from el.ontology.ontology import kind_of_type
from el.report.linked import linked_page
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import Seed, seeds

# Seconds that one input may take. The inputs have a few hundred bytes.
_LIMIT = 20.0
_NAMES = {"aspirin": "D001241", "headache": "D006261", "lead": "D007854"}
_TARGETS: dict[OutputFormat, str] = {
    "bioc": "out.xml",
    "bioc-json": "out.json",
    "pubtator": "out.pubtator",
    "brat": "brat",
    "jsonl": "out.jsonl",
    "tsv": "out.tsv",
    "links": "out.links.jsonl",
}
# Formats whose outputs hold whole documents.
_READ_AGAIN = ("bioc", "bioc-json", "pubtator", "brat", "jsonl")


class _Hang(BaseException):
    """An input takes longer than `_LIMIT`."""


class StubLinker:
    """Links without a model, at the interface of `Linker` that commands use."""

    def __init__(self) -> None:
        self.mention_finder = SimpleNamespace(is_linked=self._is_linked)

    def link(
        self, documents: Iterable[Document], find: str, types: Collection[str] | None
    ) -> Iterator[LinkedDocument]:
        """Links given mentions; in a document without mentions, the words of `_NAMES`."""
        for document in documents:
            given = [m for m in document.mentions if self._is_linked(m.type, types)]
            mentions = given if document.mentions else [*_found(document)]
            yield LinkedDocument(document, tuple(map(_linked, mentions)))

    @staticmethod
    def _is_linked(type: str, types: Collection[str] | None) -> bool:
        return not type or kind_of_type(type) is not None


def _found(document: Document) -> Iterator[Mention]:
    lower = document.text.lower()
    # Lower case may be longer or shorter than the text.
    for number, name in enumerate(_NAMES if len(lower) == len(document.text) else ()):
        if (start := lower.find(name)) >= 0:
            stop = start + len(name)
            yield Mention(str(number), (Span(start, stop),), document.text[start:stop], "disease")


def _linked(mention: Mention) -> LinkedMention:
    concept_id = _NAMES.get(mention.text.lower(), "D000001")
    link = Link(concept_id, "A name", 0.75, mention.text.lower())
    return LinkedMention(mention, (link,), (concept_id,), "dictionary", 0.75)


@dataclass(frozen=True)
class _StubSettings(Settings):
    def load(self) -> Linker:
        stub: Any = StubLinker()
        return stub


@dataclass(frozen=True)
class Finding:
    """Something that no user should see.

    Attributes:
        number: the input.
        kind: "error", "hang" or "loss".
        text: what happened.
    """

    number: int
    kind: str
    text: str


def fuzz(seed: int, start: int, inputs: int) -> Iterator[Finding]:
    """Yields the findings of some inputs, at most one for each input."""
    sound = seeds()
    for number in range(start, start + inputs):
        rng = random.Random(f"{seed}-{number}")
        files = mutated(rng.choice(sound), rng)
        with tempfile.TemporaryDirectory() as folder:
            try:
                with _limited():
                    loss = _loss(files, Path(folder))
            except _Hang:
                yield Finding(number, "hang", f"over {_LIMIT:.0f} s")
            except Exception as error:
                frames = traceback.extract_tb(error.__traceback__)
                ours = [frame for frame in frames if "/el/" in frame.filename] or frames
                where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
                yield Finding(number, "error", f"{type(error).__name__} in {where}: {error}"[:300])
            else:
                if loss:
                    yield Finding(number, "loss", loss)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _loss(files: Seed, folder: Path) -> str:
    """Links an input in all ways. Returns what was lost; "" for nothing."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    source = folder / sorted(files)[-1]
    source_format, texts, skipped = _read(source)
    with contextlib.suppress(ElError):
        _link(source, folder / "strict.jsonl", "jsonl", keep_going=False)
    for format in OUTPUT_FORMATS:
        target = folder / _TARGETS[format]
        try:
            written, reported = _link(source, target, format, keep_going=True)
        except ElError:
            # The whole input is refused: nothing is written, and the message says so.
            if target.exists():
                return f"{format}: refused, but there is an output"
            continue
        if written + reported < texts.total() + skipped:
            return f"{format}: {texts.total()} documents and {skipped} errors, {written} written"
        if format in _READ_AGAIN and written:
            try:
                # In the format of the input, and from BioC to BioC, bad mentions are written as they were.
                is_kept = format == source_format or {format, source_format} == {"bioc", "bioc-json"}
                again = _texts_of_output(target, format, bad_mentions=is_kept)
            except ElError as error:
                return f"{format}: what was written cannot be read: {error}"
            before, after = (_comparable(some, format) for some in (texts, again))
            if other := after - before:
                return f"{format}: a text differs: {next(iter(other))!r:.200}"
            if again.total() != written:
                return f"{format}: {written} documents written, {again.total()} read again"
    return ""


def _link(source: Path, target: Path, format: OutputFormat, *, keep_going: bool) -> tuple[int, int]:
    """Links a file. Returns how many documents were written, and how many messages there are about others."""
    messages: list[str] = []
    settings = _StubSettings(Path(), format=format, keep_going=keep_going)
    # A page does not depend on the format of the output, and its templates take time to compile.
    page = target.with_name("page.html") if format == "tsv" else None
    with _page(page) as show, _silent(messages):
        total = link_into_one([source], settings, target, show)
    return total.documents, sum(message.startswith("skipped: ") for message in messages)


@contextlib.contextmanager
def _page(path: Path | None) -> Iterator[Callable[[LinkedDocument], None]]:
    if path is None:
        yield lambda _: None
        return
    with path.open("w", encoding="utf-8") as stream, linked_page(stream, "page") as page:
        yield page.write


@contextlib.contextmanager
def _silent(messages: list[str]) -> Iterator[None]:
    """Collects the messages that go to stderr."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as stream:
        with contextlib.redirect_stderr(stream):
            yield
        stream.seek(0)
        messages.extend(stream)


def _comparable(texts: Counter[str], format: OutputFormat) -> Counter[str]:
    """Texts without the blanks around them. For brat, the line ends within them count as blanks."""
    is_brat = format == "brat"
    return Counter((re.sub(r"\s", " ", text) if is_brat else text).strip() for text in texts.elements())


def _read(source: Path) -> tuple[str, Counter[str], int]:
    """Returns the format, the texts of the documents that can be read, and the number of other errors."""
    format = ""
    texts: Counter[str] = Counter()
    errors: list[InputError] = []
    try:
        corpus = open_corpus(source)
        format = corpus.format
        texts.update(document.text for document in corpus.documents(errors.append))
    except ElError as error:
        errors.append(InputError(source, "", str(error), ""))
    return format, texts, sum(not isinstance(error, MentionError) for error in errors)


def _texts_of_output(target: Path, format: OutputFormat, *, bad_mentions: bool) -> Counter[str]:
    def skip(error: InputError) -> None:
        if not (bad_mentions and isinstance(error, MentionError)):
            raise error

    paths = sorted(target.glob("*.txt")) if format == "brat" else [target]
    return Counter(document.text for path in paths for document in open_corpus(path).documents(skip))


def main(arguments: list[str] | None = None) -> int:
    """Runs the fuzzer. Returns its exit code."""
    parser = argparse.ArgumentParser("python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="number of inputs (default: 10000)")
    parser.add_argument("--start", type=int, default=0, help="number of the first input (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the changes (default: 0)")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    kinds: Counter[str] = Counter()
    for finding in fuzz(options.seed, options.start, options.inputs):
        kinds[finding.kind] += 1
        repeat = f"--seed {options.seed} --start {finding.number} --inputs 1"
        print(f"{finding.kind}: {finding.text}  ({repeat})", flush=True)
    seconds = time.monotonic() - begun
    print("| inputs | seed | errors | hangs | losses | s |\n|---|---|---|---|---|---|")
    counts = " | ".join(str(kinds[kind]) for kind in ("error", "hang", "loss"))
    print(f"| {options.inputs:,} | {options.seed} | {counts} | {seconds:.0f} |")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
