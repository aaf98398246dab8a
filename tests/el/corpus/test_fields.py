import pytest

from el.corpus.fields import format_ids, format_scores, parse_ids, split_ids


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("D000001", ("D000001",)),
        ("MESH:D000001", ("D000001",)),
        ("mesh:C000001|MESH:D000002", ("C000001", "D000002")),
        ("D000001;D000002,D000003+D000004", ("D000001", "D000002", "D000003", "D000004")),
        ("OMIM:123456", ("OMIM:123456",)),
        (" D000001 | D000002 ", ("D000001", "D000002")),
        ("D000001|-1", ("D000001",)),
        ("-1", ()),
        ("-", ()),
        ("", ()),
    ],
)
def test_ids_are_read_in_all_their_spellings(text: str, ids: tuple[str, ...]) -> None:
    assert parse_ids(text) == ids


def test_split_ids_keep_the_place_of_a_missing_concept() -> None:
    assert split_ids("D000001|-1|D000003") == ["D000001", "", "D000003"]


def test_ids_and_scores_are_joined() -> None:
    assert format_ids(["D000001", "C000001"]) == "D000001|C000001"
    assert format_ids([]) == "-1"
    assert format_scores([0.5, None, 1]) == "0.5000||1.0000"
