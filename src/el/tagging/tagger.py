"""Finds mentions in documents with a compiled tagger and a dictionary.

The module stands apart from the training because it runs without PyTorch.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.base.errors import InputError, MismatchError
from el.base.files import check_sampled, read_json
from el.corpus.types import Document, Mention
from el.runtime.networks import AGAIN, OpenNetwork, open_tokenizer
from el.tagging.encoding import Reading, Window, WordEncoder, Words, central, make_batch, windows
from el.tagging.finder import DictionaryFinder, Found, as_mentions
from el.tagging.labels import COUNT, spans_of, viterbi

FORMAT = "el-compiled-tagger-1"
MANIFEST, NETWORK, TRANSITIONS = "manifest.json", "tagger.xml", "transitions.npy"
TOKENIZER = "tokenizer.json"
# The length of a window, in tokens, is rounded up to a multiple of this number: OpenVINO works out each new
# shape once, which takes time. A larger value means fewer shapes and more padding.
_MULTIPLE = 16


class Tagger:
    """Finds mentions of chemicals and diseases.

    Several threads must not use one tagger at the same time.

    Args:
        folder: the folder that `compile_tagger` wrote.
        finder: finds names of an ontology; they are features that the network reads.

    Raises:
        InputError: a file is missing or broken.
        MismatchError: another version of this package wrote the folder.
    """

    def __init__(self, folder: Path, finder: DictionaryFinder) -> None:
        manifest = read_json(folder / MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise MismatchError(f"{folder}: the format is not {FORMAT!r}. Make the linker again")
        try:
            self.reading = Reading(**manifest["reading"])
            files = dict(manifest["files"])
        except (KeyError, TypeError, ValueError) as error:
            problem = f"is incomplete ({error})"
            raise InputError(folder / MANIFEST, "", problem, "Make the linker again") from error
        for name in (NETWORK, Path(NETWORK).with_suffix(".bin").name, TRANSITIONS, TOKENIZER):
            check_sampled(folder / name, files.get(name, ""), AGAIN)
        self._network = OpenNetwork(folder / NETWORK)
        self._transitions: npt.NDArray[np.float32] = np.load(folder / TRANSITIONS, allow_pickle=False)
        tokenizer = open_tokenizer(folder / TOKENIZER)
        self._encoder = WordEncoder(tokenizer, finder, self.reading.max_pieces)

    def mentions(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
        """Returns the mentions of each document, in order.

        A mention's type is "chemical" or "disease"; mentions have no concept ids. In each document they are
        numbered from "0"; a number that one of the document's mentions already has is skipped.
        """
        found = self.find(documents)
        return [as_mentions(document, spans) for document, spans in zip(documents, found, strict=True)]

    def find(self, documents: Sequence[Document]) -> list[list[Found]]:
        """Returns what `mentions` returns, as places (code points of the document's text) and kinds."""
        words = [self._encoder.words(document) for document in documents]
        emissions = self.emissions(words)
        return [self.decode(*pair) for pair in zip(words, emissions, strict=True)]

    def decode(self, words: Words, emissions: npt.NDArray[np.float32]) -> list[Found]:
        """Returns the mentions of the best labels of a document's words, passage by passage.

        Args:
            words: the document's N words.
            emissions: (N, COUNT), the score of each label for each word.
        """
        found: list[Found] = []
        for first, last in itertools.pairwise(words.passages):
            labels, _ = viterbi(emissions[first:last], self._transitions)
            found += spans_of(labels, words.spans[first:last])
        return found

    def emissions(self, documents: Sequence[Words]) -> list[npt.NDArray[np.float32]]:
        """Returns the scores of labels, (N, COUNT) float32 for each document's N words.

        Where windows overlap, a word's scores come from the window with most of its context (`central`).
        """
        out = []
        for words in documents:
            parts = windows(words, self.reading)
            emissions = np.zeros((len(words.spans), COUNT), dtype=np.float32)
            best = central(parts, len(words.spans))
            for place, part in enumerate(parts):
                chosen = best[part.first : part.last] == place
                emissions[part.first : part.last][chosen] = self._read(words, part)[chosen]
            out.append(emissions)
        return out

    def _read(self, words: Words, window: Window) -> npt.NDArray[np.float32]:
        """Returns the scores of a window's words, (words, COUNT): means over the words' pieces.

        The network reads one window at a time: with others beside it, the last digits of its scores differ.
        """
        batch = make_batch([(words, window)], self.reading, _MULTIPLE)
        scores = self._network.infer([batch.ids, batch.mask, batch.names, batch.shapes])[0][0]
        places = batch.words[0]
        # Each word has at least one piece, and the places ascend: `reduceat` gets no empty group.
        _, starts, counts = np.unique(places[places >= 0], return_index=True, return_counts=True)
        sums = np.add.reduceat(scores[places >= 0], starts, axis=0)
        return (sums / counts[:, None]).astype(np.float32)
