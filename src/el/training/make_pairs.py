"""Makes contrastive pairs of mentions and of the ontology's names, as JSON lines.

`names.jsonl` pairs two names of one concept. `train.jsonl` and `dev.jsonl` pair a gold mention with a name of
its concept. Negatives are added later by a miner (`el.training.mining`), because they depend on a model.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.base.errors import ConfigError
from el.base.files import atomic_folder, write_json
from el.base.text import context_window, normalise
from el.corpus.abbreviations import document_abbreviations, expand
from el.corpus.splits import split_documents
from el.corpus.types import Document, Mention
from el.corpus.views import mentions_full
from el.models.inputs import InputVariant, passage_input, query_input
from el.ontology.ontology import Ontology
from el.ontology.outside import OTHERS, read_others
from el.training.pairs import Item, Pair, write_pairs


@dataclass(frozen=True)
class PairsConfig:
    """Which pairs of names are drawn.

    Attributes:
        names: how many pairs of names are drawn, one for each concept. If there are fewer concepts with two
            names, a concept is drawn several times, each time with other names.
        kinds: the kinds of concept that pairs are drawn from.
        max_characters: the most characters of a name. Longer names are left out: they are systematic chemical
            names, which texts do not use, but every training step would have to read them.
        descriptor_share: the share of descriptors among the concepts drawn. There are nine times as many
            supplementary records, but texts mostly mention descriptors.
        outside: how many more pairs are drawn from outside concepts that lead to no concept of the ontology
            (`el.ontology.outside`), one for each concept; all of them if there are fewer.
        seed: the seed of the draw.
    """

    names: int
    kinds: tuple[str, ...]
    max_characters: int
    descriptor_share: float
    seed: int
    outside: int = 0

    def __post_init__(self) -> None:
        if self.names < 1:
            raise ConfigError(f"names is {self.names}; it must be 1 or more")
        if self.outside < 0:
            raise ConfigError(f"outside is {self.outside}; it must not be negative")
        if self.max_characters < 10:
            raise ConfigError(f"max_characters is {self.max_characters}; it must be 10 or more")
        if not 0.0 <= self.descriptor_share <= 1.0:
            raise ConfigError(f"descriptor_share is {self.descriptor_share}; it must be between 0 and 1")
        unknown = set(self.kinds) - {"chemical", "disease", "other"}
        if unknown or not self.kinds:
            raise ConfigError(
                f"kinds is {list(self.kinds)}; it must be one or more of chemical, disease and other"
            )


def name_pairs(ontology: Ontology, config: PairsConfig, definition_characters: int) -> Iterator[Pair]:
    """Yields a pair of two names for each concept drawn, in the order of the draw.

    Args:
        ontology: the ontology whose names are paired.
        config: which pairs are drawn.
        definition_characters: the most characters of the definition that follows a name.
    """
    generator = np.random.default_rng(config.seed)
    short = np.array([len(text) <= config.max_characters for text in ontology.name_texts])
    rows = _draw_concepts(ontology, config, short, generator)
    definitions = ontology.concepts["definition"]
    for row in rows:
        first, stop = int(ontology.first_name[row]), int(ontology.first_name[row + 1])
        query, name = generator.permutation(np.flatnonzero(short[first:stop]))[:2]
        text = ontology.name_texts[first + query]
        positive = _positive(
            ontology, int(row), int(name), definitions[int(row)].as_py()[:definition_characters]
        )
        concept_id = ontology.ids[row]
        yield Pair(f"{concept_id}/{query}", text, text, (concept_id,), (positive,))


def _draw_concepts(
    ontology: Ontology, config: PairsConfig, short: npt.NDArray[np.bool_], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    several = np.add.reduceat(short, ontology.first_name[:-1], dtype=np.int64) > 1
    usable = several & np.isin(np.asarray(ontology.kinds), config.kinds)
    descriptor = np.asarray(ontology.concepts["record"].to_pylist()) == "descriptor"
    pools = [np.flatnonzero(usable & descriptor), np.flatnonzero(usable & ~descriptor)]
    wanted = round(config.names * config.descriptor_share)
    drawn = []
    for pool, count in zip(pools, (wanted, config.names - wanted), strict=True):
        # A pool with too few concepts is used several times.
        rounds = [generator.permutation(pool) for _ in range(-(-count // len(pool)))] if len(pool) else []
        drawn.append(np.concatenate([np.empty(0, dtype=np.int64), *rounds])[:count])
    return generator.permutation(np.concatenate(drawn))


def outside_pairs(concepts: Path, config: PairsConfig) -> Iterator[Pair]:
    """Yields a pair of two names for each outside concept drawn, in the order of the draw.

    Args:
        concepts: the file of outside concepts that lead to no concept of the ontology.
        config: which pairs are drawn.

    Raises:
        InputError: the file is missing or broken.
    """
    generator = np.random.default_rng(config.seed)
    usable = []
    for concept_id, names in read_others(concepts):
        short = [place for place, name in enumerate(names) if len(name) <= config.max_characters]
        if len(short) > 1:
            usable.append((concept_id, names, short))
    for number in generator.permutation(len(usable))[: config.outside].tolist():
        concept_id, names, short = usable[number]
        query, place = generator.permutation(short)[:2].tolist()
        item = Item(concept_id, place, passage_input(names[place], ""), "positive")
        yield Pair(f"{concept_id}/{query}", names[query], names[query], (concept_id,), (item,))


def mention_pairs(documents: Iterable[Document], ontology: Ontology, variant: InputVariant) -> Iterator[Pair]:
    """Yields a pair for each gold mention, and each part of a composite, whose concept is in the ontology.

    Abbreviations that the document defines are expanded, as in evaluation and linking. Without context,
    mentions with equal surface forms and equal concepts are one pair, and its `count` is their number.

    Args:
        documents: annotated documents.
        ontology: gives the names of the concepts.
        variant: what the towers read.
    """
    pairs: dict[tuple[Hashable, ...], Pair] = {}
    for document in documents:
        text = document.text
        abbreviations = document_abbreviations(document)
        for mention in mentions_full(document):
            left, right = context_window(text, mention.start, mention.stop, variant.context_characters)
            for number, (surface, ids) in enumerate(_surfaces(mention)):
                surface = expand(surface, abbreviations)
                known = tuple(concept_id for concept_id in ids if concept_id in ontology)
                if not known:
                    continue
                pair_id = f"{document.id}/{mention.id}/{number}"
                key = (pair_id,) if variant.context_characters else (normalise(surface), known)
                if key in pairs:
                    pairs[key] = replace(pairs[key], count=pairs[key].count + 1)
                    continue
                pairs[key] = Pair(
                    pair_id,
                    query_input(surface, left, right),
                    surface,
                    known,
                    tuple(_preferred(ontology, concept_id, variant) for concept_id in known),
                )
    yield from pairs.values()


def _surfaces(mention: Mention) -> list[tuple[str, tuple[str, ...]]]:
    parts = [
        (text, (concept_id,))
        for text, concept_id in zip(mention.part_texts, mention.concept_ids, strict=False)
    ]
    return [(mention.text, mention.concept_ids), *parts]


def _preferred(ontology: Ontology, concept_id: str, variant: InputVariant) -> Item:
    row = ontology.row_of[concept_id]
    definition = ontology.concepts["definition"][row].as_py()[: variant.definition_characters]
    return _positive(ontology, row, 0, definition)


def _positive(ontology: Ontology, row: int, place: int, definition: str) -> Item:
    name = ontology.name_texts[int(ontology.first_name[row]) + place]
    return Item(ontology.ids[row], place, passage_input(name, definition), "positive")


def make_pairs(
    ontology_folder: Path,
    corpus: Path,
    config: PairsConfig,
    variant: InputVariant,
    out: Path,
    splits: Sequence[str] = ("train", "dev"),
) -> None:
    """Writes the pair files and a report of their sizes into the folder `out`.

    Raises:
        ConfigError: no concept of the kinds wanted has two names.
        InputError: a split is missing or broken.
    """
    ontology = Ontology.load(ontology_folder)
    with atomic_folder(out) as temporary:
        pairs = list(name_pairs(ontology, config, variant.definition_characters))
        if config.outside:
            pairs += outside_pairs(ontology_folder / OTHERS, config)
        counts = {"names": write_pairs(temporary / "names.jsonl", pairs)}
        if not counts["names"]:
            raise ConfigError(
                f"no concept of the kinds {', '.join(config.kinds)} has two names to pair; add a kind, or "
                "raise max_characters"
            )
        for split in splits:
            mentions = mention_pairs(split_documents(corpus, split), ontology, variant)
            counts[split] = write_pairs(temporary / f"{split}.jsonl", mentions)
        write_json(temporary / "report.json", counts)
