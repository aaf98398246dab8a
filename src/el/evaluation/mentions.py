"""Strict precision, recall and F1 of mentions that were found, and of their links."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from el.corpus.types import Document, LinkedDocument, Mention
from el.corpus.views import mentions_full
from el.evaluation.metrics import METRIC_DECIMALS
from el.ontology.ontology import Kind, kind_of_type, kind_or_type
from el.tagging.finder import Found
from el.tagging.labels import TYPES

# For each row of a table (D, 3) int64: for each of D documents the number of gold items, of items found, and
# of items found that are right.
Tally = dict[str, npt.NDArray[np.int64]]

# The start, stop and kind of a mention.
_Place = tuple[int, int, str]

# The number of resamples for a 95 % interval. More take more time and give ends that vary less with the seed.
_SAMPLES = 1000
_SEED = 0


def gold_spans(document: Document) -> list[Found]:
    """Returns the gold mentions of a document, in order.

    These are the chemicals and diseases of the protocol `full`, whatever the corpus calls their types. A
    composite ("renal and hepatic failure") is one mention; the parts that BioC annotates beside a composite
    do not count. Mentions without an id count. A mention in several pieces goes from its first character to
    its last. In BC5CDR only parts of composites have several pieces.
    """
    kinds = ((mention, kind_of_type(mention.type)) for mention in mentions_full(document))
    return sorted({Found(mention.start, mention.stop, kind) for mention, kind in kinds if kind is not None})


def annotated_kinds(documents: Iterable[Document]) -> tuple[Kind, ...]:
    """Returns those of chemical and disease that documents have gold mentions of.

    A corpus may annotate only one of them. What is found of the other is then neither right nor wrong.
    """
    found = {span.kind for document in documents for span in gold_spans(document)}
    return tuple(kind for kind in TYPES if kind in found)


def span_tally(documents: Sequence[Document], found: Sequence[Sequence[Mention]]) -> Tally:
    """Counts the mentions found. A mention is right if its start, stop and kind equal a gold mention's.

    Args:
        documents: documents with their gold mentions.
        found: the mentions found in each document. Those of kinds that are not annotated do not count.

    Returns:
        A tally with the row "all", and a row for each of the `annotated_kinds`.
    """
    kinds = annotated_kinds(documents)
    rows: dict[str, list[tuple[int, int, int]]] = {name: [] for name in ("all", *kinds)}
    for document, ours in zip(documents, found, strict=True):
        gold = gold_spans(document)
        counted = [one for one in ours if one.type in kinds]
        for name, row in rows.items():
            wanted = {(one.start, one.stop, one.kind) for one in gold if name in ("all", one.kind)}
            given = {(one.start, one.stop, one.type) for one in counted if name in ("all", one.type)}
            row.append((len(wanted), len(given), len(wanted & given)))
    return {name: np.array(row, dtype=np.int64).reshape(-1, 3) for name, row in rows.items()}


def linked_tally(documents: Sequence[Document], linked: Sequence[LinkedDocument]) -> Tally:
    """Counts links: mentions with an id, and the ids of documents.

    Args:
        documents: documents with their gold mentions.
        linked: the same documents, with the mentions that were found and linked. Those of kinds that are not
            annotated do not count.

    Returns:
        A tally with these rows:

        mentions: the mentions of annotated kinds that have an id. A mention found is right if its start, stop
            and kind equal a gold mention's, and its first id is one of the gold ids. A mention that was not
            linked does not count as found.
        documents: the distinct pairs of kind and id of a document. All gold ids of a composite count, and all
            answers.
        documents_chemical, documents_disease: the same for the mentions of each annotated kind, as the
            evaluation program of BioCreative V counts them.
    """
    kinds = annotated_kinds(documents)
    names = ("mentions", "documents", *(f"documents_{kind}" for kind in kinds))
    rows: dict[str, list[tuple[int, int, int]]] = {name: [] for name in names}
    for document, ours in zip(documents, linked, strict=True):
        gold: dict[_Place, tuple[str, ...]] = {
            (m.start, m.stop, kind_or_type(m.type)): m.concept_ids
            for m in mentions_full(document)
            if m.concept_ids and kind_or_type(m.type) in kinds
        }
        answers: dict[_Place, tuple[str, ...]] = {
            (m.mention.start, m.mention.stop, m.mention.type): m.predicted
            for m in ours.mentions
            if m.predicted and m.mention.type in kinds
        }
        right = sum(answer[0] in gold.get(place, ()) for place, answer in answers.items())
        rows["mentions"].append((len(gold), len(answers), right))
        rows["documents"].append(_counts(_ids(gold, kinds), _ids(answers, kinds)))
        for kind in kinds:
            rows[f"documents_{kind}"].append(_counts(_ids(gold, [kind]), _ids(answers, [kind])))
    return {name: np.array(row, dtype=np.int64).reshape(-1, 3) for name, row in rows.items()}


def joined(tallies: Iterable[Tally]) -> Tally:
    """Returns the tally of several corpora together. A kind has the documents of corpora that annotate it."""
    rows: dict[str, list[npt.NDArray[np.int64]]] = {}
    for tally in tallies:
        for name, counts in tally.items():
            rows.setdefault(name, []).append(counts)
    return {name: np.concatenate(counts) for name, counts in rows.items()}


def _ids(places: Mapping[_Place, tuple[str, ...]], kinds: Collection[str]) -> set[tuple[str, str]]:
    """Returns the distinct (kind, id) of the mentions of some kinds."""
    return {(kind, one) for (_, _, kind), ids in places.items() if kind in kinds for one in ids}


def _counts(gold: set[tuple[str, str]], found: set[tuple[str, str]]) -> tuple[int, int, int]:
    return len(gold), len(found), len(gold & found)


def figures(tally: Tally) -> dict[str, float]:
    """Returns the flat figures of each row, over the items of all documents together.

    Returns:
        `<row>/precision`, `<row>/recall`, `<row>/f1`; `<row>/f1_lo` and `<row>/f1_hi`, the ends of the 95 %
        interval of F1 by bootstrap over documents; and `<row>/count`, the number of gold items.
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
    """Returns figures with `<name>/` in front of their keys."""
    return {f"{name}/{key}": value for key, value in flat.items()}
