"""The query side of a model, ready to run: mentions to vectors and q-nets, and scores of candidate names.

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

FORMAT = "el-compiled-2"
MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
QUERY, GENERATOR, SCORER = "query.xml", "generator.xml", "scorer.xml"
# Tokens of a batch, a multiple: each other shape than the last takes the compiled networks milliseconds.
_MULTIPLE = 8
# Of the manifest, beside the format.
_KEYS = {"kind", "model", "passage_tower", "weights", "factor", "max_tokens", "padding"}


@dataclass(frozen=True, eq=False)
class Encoded:
    """B encoded mentions.

    Attributes:
        vectors: (B, D) float32; retrieve candidates.
        tokens: what the engine keeps of them for their q-nets.
    """

    vectors: npt.NDArray[np.float32]
    tokens: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Generated:
    """What scores names for B mentions: generated q-nets, or a bi-encoder's vectors.

    Attributes:
        parts: the engine's own, each with B rows; maybe in memory that the engine uses again.
    """

    parts: tuple[Any, ...]

    def of(self, rows: npt.NDArray[np.int64]) -> "Generated":
        """Returns copies of some of the mentions', of (n,) rows."""
        return Generated(tuple(part[rows] for part in self.parts))


class Engine(Protocol):
    """Encodes mentions, generates their q-nets and scores names for them.

    Attributes:
        kind: the model's, such as "hypencoder".
        passage_tower: fingerprint of the tower whose vectors of names it scores.
    """

    kind: str
    passage_tower: str

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encodes B texts, as `query_input` gives them; each is cut to the model's length."""

    def generate(self, encoded: Encoded) -> Generated:
        """Generates the q-nets of B mentions, or waits for what began when they were encoded.

        They are good until others are generated or encoded; copies, by `Generated.of`, are good for ever.
        """

    def score(self, generated: Generated, passages: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (B, M, D) names, each mention's own: (B, M) float32."""


class CompiledEngine:
    """A Hypencoder's or bi-encoder's query side, compiled. One pass of the tower serves vectors and q-nets.

    The q-net of a mention that is encoded by itself is generated in a thread of its own from then on: what
    searches for names, which has one thread to do, does not wait for it. Not for several threads at once.

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
        self._generates = Path(SCORER).with_suffix(".bin").name in manifest["weights"]
        # The mention whose q-net is being generated, and what was generated last.
        self._begun: Encoded | None = None
        self._latest: Generated | None = None
        if self._generates:
            self._generator = open_compiled(folder / GENERATOR)
            self._background = open_compiled(folder / GENERATOR, threads=1)
            self._scorer = open_compiled(folder / SCORER)

    def encode(self, texts: Sequence[str]) -> Encoded:
        rows = self._tokenizer.encode_batch_fast(list(texts))
        ids = np.array([row.ids for row in rows], dtype=np.int64)
        mask = np.array([row.attention_mask for row in rows], dtype=np.int64)
        outputs = self._query.infer([ids, mask], share_inputs=True)
        encoded = Encoded(outputs[0], (outputs[1], mask) if self._generates else ())
        if self._generates:
            self._begin(encoded)
        return encoded

    def generate(self, encoded: Encoded) -> Generated:
        if not self._generates:
            return Generated((encoded.vectors,))
        if encoded is self._begun:
            request, self._begun = self._background, None
            request.wait()
        else:
            request = self._generator
            request.infer([*encoded.tokens], share_inputs=True, share_outputs=True)
        # Not copied: those of a batch are 40 MB.
        self._latest = Generated(tuple(tensor.data for tensor in request.output_tensors))
        return self._latest

    def score(self, generated: Generated, passages: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if not self._generates:
            products: npt.NDArray[np.float32] = np.matmul(passages, generated.parts[0][:, :, None])[:, :, 0]
            return products * np.float32(self._factor)
        assert generated is self._latest or generated.parts[0].flags.owndata, "good until the next"
        scores: npt.NDArray[np.float32] = self._scorer.infer([passages, *generated.parts], share_inputs=True)[
            0
        ]
        return scores

    def _begin(self, encoded: Encoded) -> None:
        """Begins to generate in the background, where it is a single mention's q-net."""
        if self._begun is not None:
            self._background.wait()
        self._begun = self._latest = None
        if len(encoded.vectors) == 1:
            self._background.start_async([*encoded.tokens], share_inputs=True)
            self._begun = encoded
