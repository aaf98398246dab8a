"""Models that score passages (names) for queries (mentions): Hypencoders and bi-encoders."""

from el.models.base import Queries, RetrievalModel
from el.models.biencoder import BiEncoder, DotProducts
from el.models.fixed import FixedScorer
from el.models.hypencoder import Hypencoder
from el.models.loading import load_model
from el.models.qnet import QNetConfig, QNets
from el.models.tower import EncoderSource, Tower

__all__ = [
    "BiEncoder",
    "DotProducts",
    "EncoderSource",
    "FixedScorer",
    "Hypencoder",
    "QNetConfig",
    "QNets",
    "Queries",
    "RetrievalModel",
    "Tower",
    "load_model",
]
