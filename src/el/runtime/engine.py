"""The query side of a model, ready to run: mentions to vectors and q-nets, and scores of candidate names.

OpenVINO runs it, as `el.runtime.compile` wrote it. What the models do stays in `el.models`. PyTorch is not
needed here: it takes as long to load as all the rest of a linker.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from el.base.errors import InputError, MismatchError
from el.base.files import read_json
from el.runtime.networks import chained, check_file, compiled, open_tokenizer, read_network
from el.runtime.single import SingleMention

FORMAT = "el-compiled-4"
MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
QUERY, GENERATOR, SCORER = "query.xml", "generator.xml", "scorer.xml"
# A batch's tokens are a multiple, and its mentions so many, or a multiple of the last: each other shape than
# the last takes the compiled networks milliseconds, and each new one some megabytes.
_MULTIPLE = 8
_ROWS = (1, 8, 16, 32)
# Mentions of as many tokens that come one at a time before it is worth half a second to compile for them.
_FEW = 8
# Of the manifest, beside the format.
_KEYS = {"kind", "model", "passage_tower", "weights", "factor", "max_tokens", "padding"}


@dataclass(frozen=True, eq=False)
class Encoded:
    """B encoded mentions.

    Attributes:
        vectors: (B, D) float32; retrieve candidates.
        others: what the engine keeps of them for their q-nets; maybe of more than B, which fill up a batch.
            Last comes the mask.
    """

    vectors: npt.NDArray[np.float32]
    others: tuple[Any, ...]


class Engine(Protocol):
    """Encodes mentions, generates their q-nets and scores names with them.

    Attributes:
        kind: the model's, such as "hypencoder".
        passage_tower: fingerprint of the tower whose vectors of names it scores.
    """

    kind: str
    passage_tower: str

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of texts, as `query_input` gives them; each is cut to the model's length."""

    def encode(self, tokens: Sequence[Sequence[int]]) -> Encoded:
        """Encodes B tokenized texts, one at least, best such of a similar length."""

    def wait(self, encoded: Encoded) -> None:
        """Waits for q-nets that began to be generated when the mentions were encoded; `score` does so too."""

    def score(self, encoded: Encoded, passages: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """Scores (B, M, D) float16 names, each mention's own: (B, M) float32."""


class CompiledEngine:
    """A Hypencoder's or bi-encoder's query side, compiled. One pass of the tower serves vectors and q-nets.

    Mentions that come one at a time go through networks of their own (`SingleMention`), once as many of the
    same number of tokens have come. Not for several threads at once.

    Args:
        folder: what `compile_model` wrote; not needed any more when it is open.

    Attributes:
        model: the model's fingerprint.

    Raises:
        InputError: a file is missing or broken.
        MismatchError: another version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        manifest = read_json(folder / MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise MismatchError(f"{folder}: not {FORMAT!r}. Make the linker again")
        if missing := _KEYS - set(manifest):
            problem = f"{', '.join(sorted(missing))} is missing"
            raise InputError(folder / MANIFEST, "", problem, "Make the linker again")
        self.kind: str = manifest["kind"]
        self.passage_tower: str = manifest["passage_tower"]
        self.model: str = manifest["model"]
        for name, expected in manifest["weights"].items():
            check_file(folder / name, expected)
        self._factor: float = manifest["factor"]
        self._tokenizer = open_tokenizer(folder / TOKENIZER)
        self._tokenizer.enable_truncation(manifest["max_tokens"])
        self._padding: int = manifest["padding"]
        generates = Path(SCORER).with_suffix(".bin").name in manifest["weights"]
        names = (QUERY, GENERATOR, SCORER) if generates else (QUERY,)
        self._networks = [read_network(folder / name) for name in names]
        self._query = compiled(self._networks[0])
        self._scorer = compiled(chained(*self._networks[1:])) if generates else None
        # By the number of tokens: how many mentions came one at a time, and what they go through.
        self._met: Counter[int] = Counter()
        self._singles: dict[int, SingleMention] = {}
        # The mention whose q-net was begun last, and where.
        self._begun: tuple[Encoded, SingleMention] | None = None

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [row.ids for row in self._tokenizer.encode_batch_fast(list(texts))]

    def encode(self, tokens: Sequence[Sequence[int]]) -> Encoded:
        ids, mask = self._padded(tokens)
        single = self._single(ids.shape[1]) if len(tokens) == 1 else None
        if single is not None:
            vectors, *others = single.encode(ids, mask)
        else:
            vectors, *others = self._query.infer([ids, mask], share_inputs=True).to_tuple()
        encoded = Encoded(vectors[: len(tokens)], (*others, mask))
        self._begun = None if single is None else (encoded, single)
        return encoded

    def wait(self, encoded: Encoded) -> None:
        if (single := self._scoring(encoded)) is not None:
            single.wait()

    def score(self, encoded: Encoded, passages: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        if self._scorer is None:
            names = passages.astype(np.float32)
            products: npt.NDArray[np.float32] = np.matmul(names, encoded.vectors[:, :, None])[:, :, 0]
            return products * np.float32(self._factor)
        if (single := self._scoring(encoded)) is not None:
            return single.score(passages)
        count, rows = len(encoded.vectors), len(encoded.others[-1])
        assert len(passages) == count
        if count < rows:
            passages = np.concatenate(
                [passages, np.zeros_like(passages, shape=(rows - count, *passages.shape[1:]))]
            )
        inputs = [*encoded.others, passages]
        scores: npt.NDArray[np.float32] = self._scorer.infer(inputs, share_inputs=True)[0]
        return scores[:count]

    def _padded(self, tokens: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(B, S) ids and their mask; the first mention fills up B."""
        rows = next((rows for rows in _ROWS if rows >= len(tokens)), _round_up(len(tokens), _ROWS[-1]))
        tokens = [*tokens, *[tokens[0]] * (rows - len(tokens))]
        lengths = np.array([len(own) for own in tokens])
        ids = np.full((rows, _round_up(max(lengths), _MULTIPLE)), self._padding, dtype=np.int64)
        for row, own in zip(ids, tokens, strict=True):
            row[: len(own)] = own
        return ids, (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)

    def _scoring(self, encoded: Encoded) -> SingleMention | None:
        """What is generating a mention's q-net, unless another mention was encoded since."""
        return self._begun[1] if self._begun is not None and self._begun[0] is encoded else None

    def _single(self, tokens: int) -> SingleMention | None:
        """What a mention of so many tokens goes through by itself; None as long as few have come."""
        self._met[tokens] += 1
        if tokens not in self._singles and self._met[tokens] > _FEW:
            self._singles[tokens] = SingleMention(self._networks, tokens)
        return self._singles.get(tokens)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
