"""The query side of a model, ready to run: mentions to vectors, and scores of candidate names.

OpenVINO runs it, as `el.search.compiling` wrote it. What the models do stays in `el.models`. PyTorch is not
needed here: it takes as long to load as all the rest of a linker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from el.errors import InputError, MismatchError
from el.files import read_json
from el.search.compiled import check_file, open_compiled, open_tokenizer

FORMAT = "el-compiled-1"
MANIFEST, TOKENIZER, QUERY, SCORER = "manifest.json", "tokenizer.json", "query.xml", "scorer.xml"
# Tokens of a batch, a multiple: each other shape than the last takes the compiled networks milliseconds.
_MULTIPLE = 8
# Of the manifest, beside the format.
_KEYS = {"kind", "model", "passage_tower", "weights", "factor", "max_tokens", "padding"}


@dataclass(frozen=True, eq=False)
class Encoded:
    """B encoded mentions.

    Attributes:
        vectors: (B, D) float32; retrieve candidates.
        tokens: what the engine keeps of them for scoring.
    """

    vectors: npt.NDArray[np.float32]
    tokens: tuple[Any, ...]

    def of(self, rows: npt.NDArray[np.int64]) -> "Encoded":
        """Returns some of the mentions, of (n,) rows."""
        return Encoded(self.vectors[rows], tuple(part[rows] for part in self.tokens))


class Engine(Protocol):
    """Encodes mentions and scores names for them.

    Attributes:
        kind: the model's, such as "hypencoder".
        passage_tower: fingerprint of the tower whose vectors of names it scores.
    """

    kind: str
    passage_tower: str

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encodes B texts, as `query_input` gives them; each is cut to the model's length."""

    def score(self, encoded: Encoded, passages: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (B, M, D) names, each mention's own: (B, M) float32."""


class CompiledEngine:
    """A Hypencoder's or bi-encoder's query side, compiled. One pass of the tower serves vectors and scores.

    Not for several threads at once.

    Args:
        folder: what `compile_model` wrote.

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
        padding, token = manifest["padding"]
        self._tokenizer.enable_padding(pad_id=padding, pad_token=token, pad_to_multiple_of=_MULTIPLE)
        self._query = open_compiled(folder / QUERY)
        scored = Path(SCORER).with_suffix(".bin").name in manifest["weights"]
        self._scorer = open_compiled(folder / SCORER) if scored else None

    def encode(self, texts: Sequence[str]) -> Encoded:
        rows = self._tokenizer.encode_batch_fast(list(texts))
        ids = np.array([row.ids for row in rows], dtype=np.int64)
        mask = np.array([row.attention_mask for row in rows], dtype=np.int64)
        outputs = self._query.infer([ids, mask])
        return Encoded(outputs[0], (outputs[1], mask) if self._scorer is not None else ())

    def score(self, encoded: Encoded, passages: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self._scorer is None:
            products: npt.NDArray[np.float32] = np.matmul(passages, encoded.vectors[:, :, None])[:, :, 0]
            return products * np.float32(self._factor)
        hidden, mask = encoded.tokens
        scores: npt.NDArray[np.float32] = self._scorer.infer([hidden, mask, passages])[0]
        return scores
