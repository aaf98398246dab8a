"""Engines: they turn mentions into vectors and q-nets, and score candidate names.

`CompiledEngine` runs with OpenVINO what `el.runtime.compile` writes. The architectures are in `el.models`.
This module does not import PyTorch, which takes as long to load as the rest of a linker together.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import openvino

from el.base.errors import InputError, MismatchError, first_line
from el.base.files import check_sampled, read_json
from el.base.lengths import padded
from el.runtime.networks import AGAIN, OfProcess, chained, compiled, open_tokenizer, read_network
from el.runtime.single import SingleMention

FORMAT = "el-compiled-4"
MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
QUERY, GENERATOR, SCORER = "query.xml", "generator.xml", "scorer.xml"
# The values of a mention differ in the last digits between shapes. So the shape of a batch depends on each of
# its mentions alone: they have the same padded length, and their number is always the same.
# Tokens of a mention are padded to a multiple of this number. With a larger number, there are fewer shapes
# and more padding. Each new shape takes some megabytes of memory.
_MULTIPLE = 8
# The mentions of a batch. Copies of the first mention fill up a smaller one. With a larger number, full
# batches take less time for each mention, and small ones more.
_ROWS = 16
# The manifest's keys besides "format".
_KEYS = {"kind", "model", "passage_tower", "weights", "factor", "max_tokens", "padding"}


@dataclass(frozen=True, eq=False)
class Encoded:
    """B encoded mentions.

    Attributes:
        vectors: (B, D) float32, the vectors that retrieve candidates.
        others: what the engine needs for the q-nets, then the mask. These may have more than B rows, because
            batches are padded.
    """

    vectors: npt.NDArray[np.float32]
    others: tuple[Any, ...]


class Engine(Protocol):
    """Encodes mentions, generates their q-nets and scores names with them.

    Attributes:
        kind: the kind of the model, such as "hypencoder".
        passage_tower: the fingerprint of the tower that must have made the vectors of names.
    """

    kind: str
    passage_tower: str

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of texts from `query_input`. Each is cut to the model's maximal length."""

    def batches(self, tokens: Sequence[Sequence[int]]) -> list[list[int]]:
        """Splits tokenized texts into batches for `encode`. Returns the numbers of the texts in each."""

    def encode(self, tokens: Sequence[Sequence[int]], alone: bool = False) -> Encoded:
        """Encodes a batch of B >= 1 tokenized texts.

        Args:
            tokens: a batch from `batches`.
            alone: whether one text goes through the networks alone. It takes the least time for one text, but
                not for many. The values may differ in the last digits from those in a batch.
        """

    def wait(self, encoded: Encoded) -> None:
        """Waits until the q-nets are generated, if `encode` has begun to generate them. So does `score`."""

    def score(self, encoded: Encoded, passages: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """Returns (B, M) float32 scores of (B, M, D) float16 names, M different names for each mention."""


class CompiledEngine:
    """The compiled query side of a Hypencoder or bi-encoder.

    The values of a mention do not depend on the other mentions of its batch, nor on mentions before it. One
    pass of a tower serves the vectors and the q-nets, if the query tower or the output weights retrieve.
    Mentions that are encoded alone go through separate networks of fixed shape (`SingleMention`). The first
    one of a length compiles them, which takes half a second. The networks for batches would give it other
    values than later mentions of the same text, where networks multiply bf16. Several threads must not use
    one engine at the same time. A forked process opens the networks again, because threads do not survive a
    fork.

    Args:
        folder: a folder from `compile_model`. It may be removed when the engine is open.

    Attributes:
        model: the fingerprint of the model.
        width: D, the width of the vectors.

    Raises:
        InputError: a file is missing or broken.
        MismatchError: another version of this project wrote the folder.
    """

    def __init__(self, folder: Path) -> None:
        manifest = read_json(folder / MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise MismatchError(f"{folder}: its format is not {FORMAT!r}. Make the linker again")
        if missing := _KEYS - set(manifest):
            problem = f"{', '.join(sorted(missing))} is missing"
            raise InputError(folder / MANIFEST, "", problem, "Make the linker again")
        self.kind: str = manifest["kind"]
        self.passage_tower: str = manifest["passage_tower"]
        self.model: str = manifest["model"]
        for name, expected in manifest["weights"].items():
            check_sampled(folder / name, expected, AGAIN)
        self._factor: float = manifest["factor"]
        self._tokenizer = open_tokenizer(folder / TOKENIZER)
        self._tokenizer.enable_truncation(manifest["max_tokens"])
        self._padding: int = manifest["padding"]
        generates = Path(SCORER).with_suffix(".bin").name in manifest["weights"]
        names = (QUERY, GENERATOR, SCORER) if generates else (QUERY,)
        self._networks = [read_network(folder / name) for name in names]
        with _misfits_refused(folder):
            self._open = OfProcess(lambda: _Open(self._networks))
        self.width = self._tried(folder)

    def _tried(self, folder: Path) -> int:
        """Runs the networks once, and returns the width of their vectors.

        Files that do not fit together are found here, and not at the first mention.
        """
        with _misfits_refused(folder):
            encoded = self.encode(self.tokenize(["a", "b"]))
            rows, width = encoded.vectors.shape
            scores = self.score(encoded, np.zeros((rows, 1, width), dtype=np.float16))
        if scores.shape != (2, 1) or not np.isfinite(encoded.vectors).all():
            raise InputError(folder, "", "its networks do not compute vectors and scores", AGAIN)
        return int(width)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [row.ids for row in self._tokenizer.encode_batch_fast(list(texts))]

    def batches(self, tokens: Sequence[Sequence[int]]) -> list[list[int]]:
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for number, mention in enumerate(tokens):
            by_length[_round_up(len(mention), _MULTIPLE)].append(number)
        return [
            numbers[start : start + _ROWS]
            for _, numbers in sorted(by_length.items())
            for start in range(0, len(numbers), _ROWS)
        ]

    def encode(self, tokens: Sequence[Sequence[int]], alone: bool = False) -> Encoded:
        opened = self._open()
        ids, mask = self._padded(tokens, 1 if alone else _ROWS)
        single = opened.single(ids.shape[1]) if alone else None
        if single is not None:
            vectors, *others = single.encode(ids, mask)
        else:
            vectors, *others = opened.query.infer([ids, mask], share_inputs=True).to_tuple()
        encoded = Encoded(vectors[: len(tokens)], (*others, mask))
        opened.begun = None if single is None else (encoded, single)
        return encoded

    def wait(self, encoded: Encoded) -> None:
        if (single := self._open().scoring(encoded)) is not None:
            single.wait()

    def score(self, encoded: Encoded, passages: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        opened = self._open()
        if opened.scorer is None:
            names = passages.astype(np.float32)
            products: npt.NDArray[np.float32] = np.matmul(names, encoded.vectors[:, :, None])[:, :, 0]
            return products * np.float32(self._factor)
        if (single := opened.scoring(encoded)) is not None:
            return single.score(passages)
        count, rows = len(encoded.vectors), len(encoded.others[-1])
        assert len(passages) == count
        if count < rows:
            passages = np.concatenate(
                [passages, np.zeros_like(passages, shape=(rows - count, *passages.shape[1:]))]
            )
        inputs = [*encoded.others, passages]
        scores: npt.NDArray[np.float32] = opened.scorer.infer(inputs, share_inputs=True)[0]
        return scores[:count]

    def _padded(
        self, tokens: Sequence[Sequence[int]], rows: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Returns padded ids and their mask, (rows, S) each. Copies of the first mention fill up the rows."""
        if len(tokens) > rows:
            raise ValueError(f"a batch has {len(tokens)} mentions; at most {rows} fit")
        return padded([*tokens, *[tokens[0]] * (rows - len(tokens))], self._padding, _MULTIPLE)


class _Open:
    """The networks of an engine, ready to run.

    Args:
        networks: the query network; for a Hypencoder also the generator and the scorer.
    """

    def __init__(self, networks: Sequence[openvino.Model]) -> None:
        self._networks = networks
        self.query = compiled(networks[0])
        self.scorer = compiled(chained(*networks[1:])) if len(networks) > 1 else None
        # The last mention, if it was encoded alone, and the networks that generate its q-net.
        self.begun: tuple[Encoded, SingleMention] | None = None
        # By the padded number of tokens.
        self._singles: dict[int, SingleMention] = {}

    def scoring(self, encoded: Encoded) -> SingleMention | None:
        """Returns the networks that generate a mention's q-net; None if another mention was encoded later."""
        return self.begun[1] if self.begun is not None and self.begun[0] is encoded else None

    def single(self, tokens: int) -> SingleMention:
        """Returns the networks for single mentions of a length."""
        if tokens not in self._singles:
            self._singles[tokens] = SingleMention(self._networks, tokens)
        return self._singles[tokens]


@contextlib.contextmanager
def _misfits_refused(folder: Path) -> Iterator[None]:
    """Turns the errors of networks that do not fit together into an `InputError`."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        problem = f"its networks do not fit together ({first_line(error)})"
        raise InputError(folder, "", problem, AGAIN) from error


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
