"""One mention at a time, without delay."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from el.runtime.networks import compiled


class SingleMention:
    """Encodes and scores one mention after the other, each of the same number of tokens.

    Shapes are fixed, and a network reads what the one before it wrote where that lies. A q-net is generated
    in a thread of its own, while the caller looks for names, which takes one of the processor's cores.

    Args:
        networks: of a bi-encoder the query's; of a Hypencoder also the generator and the scorer.
        tokens: S, with padding.
    """

    def __init__(self, networks: Sequence[openvino.Model], tokens: int) -> None:
        query, *own = networks
        # Ids and mask.
        self._inputs = [np.ones((1, tokens), dtype=np.int64) for _ in range(2)]
        self._query = compiled(query, [(1, tokens)] * 2)
        _read(self._query, map(_shared, self._inputs))
        self._generates = bool(own)
        if own:
            generator, self._qnets = own
            encoded = [*self._query.output_tensors[1:], _shared(self._inputs[1])]
            self._generator = compiled(generator, [tensor.shape for tensor in encoded], threads=1)
            _read(self._generator, encoded)
            # By the number of names: where these are to be written, and what scores them.
            self._scorers: dict[int, tuple[npt.NDArray[np.float16], Any]] = {}

    def encode(
        self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], ...]:
        """Encodes (1, S) token ids and their mask, and begins to generate the q-net.

        Returns:
            (1, D) float32, the vector; of a Hypencoder also what its q-net is generated from.
        """
        self.wait()
        for own, given in zip(self._inputs, (ids, mask), strict=True):
            own[:] = given
        self._query.infer()
        if self._generates:
            self._generator.start_async()
        # The memory is used again.
        return tuple(tensor.data.copy() for tensor in self._query.output_tensors)

    def wait(self) -> None:
        """Waits until the latest mention's q-net is generated."""
        if self._generates:
            self._generator.wait()

    def score(self, passages: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """Scores (1, M, D) float16 names by the q-net of the latest mention: (1, M) float32."""
        self.wait()
        count = passages.shape[1]
        if count not in self._scorers:
            self._scorers[count] = self._scorer(passages)
        names, scorer = self._scorers[count]
        names[:] = passages
        scorer.infer()
        scores: npt.NDArray[np.float32] = scorer.output_tensors[0].data.copy()
        return scores

    def _scorer(self, passages: npt.NDArray[np.float16]) -> tuple[npt.NDArray[np.float16], Any]:
        names, generated = np.empty(passages.shape, dtype=np.float16), self._generator.output_tensors
        scorer = compiled(self._qnets, [names.shape, *(tensor.shape for tensor in generated)])
        _read(scorer, [_shared(names), *generated])
        return names, scorer


def _shared(array: npt.NDArray[Any]) -> openvino.Tensor:
    """A tensor in the memory of an array."""
    return openvino.Tensor(array, shared_memory=True)


def _read(request: Any, tensors: Iterable[openvino.Tensor]) -> None:
    """Makes these the inputs of a request, from now on."""
    for number, tensor in enumerate(tensors):
        request.set_input_tensor(number, tensor)
