"""What a system answered to each query, and the files that keep it."""

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from el.base.errors import InputError
from el.base.files import atomic_file
from el.linking.query import Query
from el.linking.ranking import Ranking

# What a file of predictions keeps of each ranking.
STORED_IDS = 100
STORED_SCORES = 10
SCORE_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one system answered to one query, without any text of the corpus.

    Attributes:
        query_id: the query's id.
        document_id: its document's id.
        gold: its gold ids.
        rows: the rows of the result table that count it.
        ranked: concept ids, best first.
        scores: the scores of the first of them; may be shorter than `ranked`.
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
    """Joins queries, their rankings and the rows that count them (`el.evaluation.rows.rows_of`).

    Keeps what a file keeps: 100 ids, the scores of the first 10, rounded to 4 decimals. So metrics
    of predictions are the same before writing and after reading.

    Raises:
        ValueError: the three differ in length.
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
    """Writes one JSON object a line, atomically; compressed if the path ends in ".gz".

    The same predictions give the same bytes, compressed or not.
    """
    lines = (json.dumps(prediction_row(prediction)) + "\n" for prediction in predictions)
    data = "".join(lines).encode()
    with atomic_file(path) as temporary:
        # Without a time stamp, or else no two files were equal.
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_predictions(path: Path) -> list[Prediction]:
    """Reads what `write_predictions` wrote.

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
    """Returns a prediction as the JSON object that a file of predictions has on its line."""
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
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Run the stage that makes it") from error
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise InputError(path, "", f"broken ({error})", "Make the file again") from error
    return iter(io.StringIO(text))
