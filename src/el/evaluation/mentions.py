"""How many mentions are found, and linked: strict precision, recall and F1."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from el.corpus.types import Document, LinkedDocument, Mention
from el.corpus.views import mentions_full
from el.evaluation.metrics import METRIC_DECIMALS
from el.ontology.ontology import Kind
from el.tagging.finder import Found
from el.tagging.labels import TYPES

# (D, 3) for each row of a table: of each document, how many items there are, are found, and are right.
Tally = dict[str, npt.NDArray[np.int64]]

_SAMPLES, _SEED = 1000, 0


def gold_spans(document: Document) -> list[Found]:
    """The mentions that are to be found, in order.

    Those of the protocol `full`: a composite ("renal and hepatic failure") is one mention, from its first
    character to its last, and the parts that BioC annotates beside it are none; mentions without an id count.
    A mention in several pieces, of which BC5CDR has none but for such parts, is taken with what is between.
    Other types than chemical and disease are left out.
    """
    kinds: dict[str, Kind] = {kind: kind for kind in TYPES}
    spans = {Found(m.start, m.stop, kinds[m.type]) for m in mentions_full(document) if m.type in kinds}
    return sorted(spans)


def span_tally(documents: Sequence[Document], found: Sequence[Sequence[Mention]]) -> Tally:
    """Counts what was found; a mention is right if start, stop and type are. Rows: "all" and each type."""
    rows: dict[str, list[tuple[int, int, int]]] = {name: [] for name in ("all", *TYPES)}
    for document, ours in zip(documents, found, strict=True):
        gold = gold_spans(document)
        for name, row in rows.items():
            a = {(one.start, one.stop, one.kind) for one in gold if name in ("all", one.kind)}
            b = {(one.start, one.stop, one.type) for one in ours if name in ("all", one.type)}
            row.append((len(a), len(b), len(a & b)))
    return {name: np.array(row, dtype=np.int64).reshape(-1, 3) for name, row in rows.items()}


def linked_tally(documents: Sequence[Document], linked: Sequence[LinkedDocument]) -> Tally:
    """Counts mentions with ids, and ids of documents.

    Rows:
        mentions: the mentions that have an id. One that was found is right if start, stop and type are and
            its first id is one of theirs; what was linked to nothing does not count as found.
        documents: the distinct ids of each document, all those of a composite among them.

    Args:
        documents: with their gold mentions.
        linked: the same, with what was found in their texts.
    """
    mentions, ids = [], []
    for document, ours in zip(documents, linked, strict=True):
        gold = {(m.start, m.stop, m.type): m.concept_ids for m in mentions_full(document) if m.concept_ids}
        answers = {
            (m.mention.start, m.mention.stop, m.mention.type): m.predicted[0]
            for m in ours.mentions
            if m.predicted
        }
        right = sum(answer in gold.get(place, ()) for place, answer in answers.items())
        mentions.append((len(gold), len(answers), right))
        own, found = {i for several in gold.values() for i in several}, set(answers.values())
        ids.append((len(own), len(found), len(own & found)))
    return {"mentions": np.array(mentions).reshape(-1, 3), "documents": np.array(ids).reshape(-1, 3)}


def figures(tally: Tally) -> dict[str, float]:
    """Flat figures of each row, counted over all documents together.

    `<row>/precision`, `<row>/recall`, `<row>/f1`, its 95 % interval by bootstrap over documents as `f1_lo`
    and `f1_hi`, and `<row>/count`, how many items there are to be found.
    """
    flat: dict[str, float] = {}
    for row, counts in tally.items():
        rng = np.random.default_rng(_SEED)
        drawn = rng.integers(len(counts), size=(_SAMPLES, len(counts)))
        low, high = np.percentile([_f1(counts[rows]) for rows in drawn], [2.5, 97.5])
        gold, found, right = counts.sum(axis=0).tolist()
        values = {
            "precision": right / max(found, 1),
            "recall": right / max(gold, 1),
            "f1": _f1(counts),
            "f1_lo": low,
            "f1_hi": high,
        }
        flat |= {f"{row}/{name}": round(float(value), METRIC_DECIMALS) for name, value in values.items()}
        flat[f"{row}/count"] = gold
    return flat


def _f1(counts: npt.NDArray[np.int64]) -> float:
    gold, found, right = counts.sum(axis=0).tolist()
    return float(2 * right / max(gold + found, 1))


def prefixed(name: str, flat: Mapping[str, float]) -> dict[str, float]:
    """Figures with `<name>/` before their keys."""
    return {f"{name}/{key}": value for key, value in flat.items()}
