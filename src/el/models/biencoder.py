"""The bi-encoder: query and passage are one vector each, and their dot product is the score.

On disk a bi-encoder is a `SentenceTransformer` (`el.models.sentences`), so others can load it without this
project.
"""

from pathlib import Path

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from el.models.base import RetrievalModel
from el.models.dot_product import DotProducts
from el.models.sentences import load_towers, save_towers
from el.models.tower import EncoderSource, Tower, load_tokenizer, load_tower


class BiEncoder(RetrievalModel):
    """Two towers, or a shared one, and the dot product of their vectors.

    Args:
        query_tower: encodes queries.
        passage_tower: encodes passages; None if the query tower encodes both.
        tokenizer: cuts texts to the towers' maximal length. Saving the model needs a tokenizer.
        temperature: divides the scores. It affects losses, but not rankings.
    """

    kind = "bi_encoder"

    def __init__(
        self,
        query_tower: Tower,
        passage_tower: Tower | None,
        tokenizer: PreTrainedTokenizerBase | None,
        temperature: float = 0.05,
    ) -> None:
        super().__init__(query_tower, passage_tower, tokenizer)
        self.temperature = temperature

    @classmethod
    def from_encoder(
        cls, source: EncoderSource, normalize: bool = True, temperature: float = 0.05
    ) -> "BiEncoder":
        """Makes one shared tower from a pretrained encoder, with the pooling of that encoder."""
        tokenizer = load_tokenizer(source.resolve(), source.max_tokens)
        return cls(load_tower(source, normalize), None, tokenizer, temperature)

    def settings(self) -> str:
        return f"{super().settings()} {self.temperature}"

    def encode_queries(self, input_ids: Tensor, attention_mask: Tensor) -> DotProducts:
        return DotProducts(self.query_tower(input_ids, attention_mask), 1.0 / self.temperature)

    def encode_with_vectors(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[DotProducts, Tensor]:
        queries = self.encode_queries(input_ids, attention_mask)
        return queries, queries.vectors

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a SentenceTransformer. If there are two towers, it routes queries and documents."""
        assert self.tokenizer is not None
        save_towers(self.query_tower, self.own_passage_tower, self.tokenizer, Path(folder))

    @classmethod
    def from_pretrained(cls, folder: str | Path, temperature: float = 0.05) -> "BiEncoder":
        """Loads any SentenceTransformer that consists of a transformer with CLS or mean pooling.

        Raises:
            InputError: the folder holds anything else.
        """
        return cls(*load_towers(Path(folder)), temperature)
