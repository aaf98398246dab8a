"""Predictions: what a system answered to each query, and the files that store the answers."""

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from el.base.errors import InputError
from el.base.files import GZIP_ERRORS, atomic_file, open_unpacked
from el.linking.query import Query
from el.linking.ranking import Ranking

# How many ids and scores of each ranking a file of predictions stores, and the decimals of a score. Larger
# values make the files larger.
STORED_IDS = 100
STORED_SCORES = 10
SCORE_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer of one system to one query, without any text of the corpus.

    Attributes:
        query_id: the query's id.
        document_id: the id of the query's document.
        gold: the query's gold ids.
        rows: the rows of the result table that count the query.
        ranked: concept ids, best first.
        scores: the scores of the first ids of `ranked`; it may be shorter.
    """

    query_id: str
    document_id: str
    gold: tuple[str, ...]
    rows: tuple[str, ...]
    ranked: tuple[str, ...]
    scores: tuple[float, ...]


def make_predictions(
    queries: Sequence[Query], rankings: Sequence[Ranking], rows: Sequence[tuple[str, ...]]
) -> list[Prediction]:
    """Joins queries, their rankings and the rows that count them.

    Of each ranking it keeps what a file stores: 100 ids, and the scores of the first 10, rounded to 4
    decimals. Metrics of predictions are therefore the same before writing and after reading.

    Args:
        queries: the queries.
        rankings: the ranking of each query.
        rows: the rows that count each query, from `el.evaluation.rows.rows_of`.

    Raises:
        ValueError: the arguments differ in length.
    """
    return [
        Prediction(
            query_id=query.id,
            document_id=query.document_id,
            gold=query.gold,
            rows=query_rows,
            ranked=ranking.concept_ids[:STORED_IDS],
            scores=tuple(round(score, SCORE_DECIMALS) for score in ranking.scores[:STORED_SCORES]),
        )
        for query, ranking, query_rows in zip(queries, rankings, rows, strict=True)
    ]


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Writes one JSON object a line, the file completely or not at all; gzipped if the path ends in ".gz".

    Equal predictions give equal bytes, gzipped or not.
    """
    lines = (json.dumps(prediction_row(prediction)) + "\n" for prediction in predictions)
    data = "".join(lines).encode()
    with atomic_file(path) as temporary:
        # Without a time stamp, which would make the bytes differ at each run.
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_predictions(path: Path) -> list[Prediction]:
    """Reads a file of predictions, optionally gzipped.

    Raises:
        InputError: the file is missing or broken, or a line is not a prediction.
    """
    predictions = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            predictions.append(_parse(json.loads(line)))
        except (KeyError, TypeError, ValueError) as error:
            problem = f"not a prediction ({type(error).__name__}: {error})"
            raise InputError(path, f"line {number}", problem, "Make the file again") from error
    return predictions


def prediction_row(prediction: Prediction) -> dict[str, Any]:
    """Returns a prediction as the JSON object that is its line in a file of predictions."""
    return {
        "query": prediction.query_id,
        "document": prediction.document_id,
        "gold": prediction.gold,
        "rows": prediction.rows,
        "ranked": prediction.ranked,
        "scores": prediction.scores,
    }


def _parse(row: dict[str, Any]) -> Prediction:
    return Prediction(
        query_id=row["query"],
        document_id=row["document"],
        gold=tuple(row["gold"]),
        rows=tuple(row["rows"]),
        ranked=tuple(row["ranked"]),
        scores=tuple(row["scores"]),
    )


def _lines(path: Path) -> Iterator[str]:
    try:
        with open_unpacked(path, by_name=True) as stream:
            text = stream.read().decode()
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Run the stage that makes it") from error
    except (*GZIP_ERRORS, OSError, UnicodeDecodeError) as error:
        raise InputError(path, "", f"broken ({error})", "Make the file again") from error
    return iter(io.StringIO(text))
