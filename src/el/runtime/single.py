"""Networks for one mention at a time, with fixed shapes and shared memory, so that calls cost little."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from el.runtime.networks import compiled


class SingleMention:
    """Encodes and scores one mention after the other, all with the same number of tokens.

    Shapes are fixed, and each network reads its input where the network before wrote it. A q-net is generated
    on one core while the caller searches for names on another.

    Args:
        networks: the query network; for a Hypencoder also the generator and the scorer.
        tokens: S, the number of tokens with padding.
    """

    def __init__(self, networks: Sequence[openvino.Model], tokens: int) -> None:
        query, *of_qnets = networks
        # Token ids and mask.
        self._inputs = [np.ones((1, tokens), dtype=np.int64) for _ in range(2)]
        self._query = compiled(query, [(1, tokens)] * 2)
        _set_inputs(self._query, map(_shared, self._inputs))
        self._generates = bool(of_qnets)
        if of_qnets:
            generator, self._qnets = of_qnets
            encoded = [*self._query.output_tensors[1:], _shared(self._inputs[1])]
            self._generator = compiled(generator, [tensor.shape for tensor in encoded], threads=1)
            _set_inputs(self._generator, encoded)
            # By the number of names: the array to write the names to, and the network that scores them.
            self._scorers: dict[int, tuple[npt.NDArray[np.float16], Any]] = {}

    def encode(
        self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], ...]:
        """Encodes (1, S) token ids and their mask, and begins to generate the q-net.

        Returns:
            The (1, D) float32 vector; for a Hypencoder also the inputs of the generator.
        """
        self.wait()
        for shared, given in zip(self._inputs, (ids, mask), strict=True):
            shared[:] = given
        self._query.infer()
        if self._generates:
            self._generator.start_async()
        # Copied, because the next mention overwrites the memory.
        return tuple(tensor.data.copy() for tensor in self._query.output_tensors)

    def wait(self) -> None:
        """Waits until the q-net of the latest mention is generated."""
        if self._generates:
            self._generator.wait()

    def score(self, passages: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """Returns (1, M) float32 scores of (1, M, D) float16 names by the q-net of the latest mention."""
        self.wait()
        count = passages.shape[1]
        if count not in self._scorers:
            self._scorers[count] = self._make_scorer(passages.shape)
        names, scorer = self._scorers[count]
        names[:] = passages
        scorer.infer()
        scores: npt.NDArray[np.float32] = scorer.output_tensors[0].data.copy()
        return scores

    def _make_scorer(self, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.float16], Any]:
        """Returns an array for names of a shape, and a compiled network that scores the array's names."""
        names, generated = np.empty(shape, dtype=np.float16), self._generator.output_tensors
        scorer = compiled(self._qnets, [names.shape, *(tensor.shape for tensor in generated)])
        _set_inputs(scorer, [_shared(names), *generated])
        return names, scorer


def _shared(array: npt.NDArray[Any]) -> openvino.Tensor:
    """Returns a tensor that shares the memory of an array."""
    return openvino.Tensor(array, shared_memory=True)


def _set_inputs(request: Any, tensors: Iterable[openvino.Tensor]) -> None:
    """Makes a request read its inputs from these tensors in all later runs."""
    for number, tensor in enumerate(tensors):
        request.set_input_tensor(number, tensor)
