"""What a benchmark times. It is apart from running one, which needs PyTorch."""

from dataclasses import dataclass

from el.base.errors import ConfigError

# Names of further systems: the bi-encoder without a graph, the published search, and compact vectors.
FLAT, GRAPH_SEARCH, COMPACT = "bi_encoder_flat", "graph_search", "compact"
# The number of mentions for slow systems. It is enough for a median; more take more time.
SLOW_MENTIONS = 20


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is timed.

    Attributes:
        mentions: number of distinct mentions, timed one at a time and in batches.
        batch: number of mentions in a batch.
        candidates: number of names that are retrieved, and scored by q-nets, per mention.
        exhaustive: number of mentions for which q-nets also score all names, to measure what the search
            loses; 0 measures nothing.
        sizes: numbers of names at which the shallowest q-net and the bi-encoder are timed, in addition to
            the number of the ontology.
    """

    mentions: int = 500
    batch: int = 256
    candidates: int = 64
    exhaustive: int = 100
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if min(self.mentions, self.batch, self.candidates, *self.sizes) < 1 or self.exhaustive < 0:
            raise ConfigError(
                f"mentions is {self.mentions}, batch {self.batch}, candidates {self.candidates}, sizes "
                f"{list(self.sizes)}; each must be 1 or more; exhaustive is {self.exhaustive}; it must be 0 "
                "or more"
            )
