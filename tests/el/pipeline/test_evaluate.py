"""What the stage `evaluate` keeps between two protocols."""

from collections.abc import Sequence

from el.linking.query import Query
from el.linking.ranking import Ranking
from el.pipeline.evaluate import Remembering


class Counting:
    """Answers with the text itself, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        self.asked += [(query.text, k) for query in queries]
        return [Ranking((f"{query.text}/{k}",), (1.0,)) for query in queries]


def query(text: str, number: int = 0) -> Query:
    return Query(f"d/{number}", "d", text, "disease", (), text)


def test_equal_inputs_are_ranked_once_for_each_number_of_answers() -> None:
    counting = Counting()
    ranker = Remembering(counting)
    asked = [query("fever"), query("ache"), query("fever", 1)]
    assert [one.concept_ids for one in ranker.rank(asked, 2)] == [("fever/2",), ("ache/2",), ("fever/2",)]
    assert ranker.rank([query("ache"), query("rash")], 2)[1].concept_ids == ("rash/2",)
    assert ranker.rank([query("ache")], 3)[0].concept_ids == ("ache/3",)
    assert ranker.rank([], 3) == []
    assert counting.asked == [("fever", 2), ("ache", 2), ("rash", 2), ("ache", 3)]
