import csv
import io

import pytest

from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span
from tests.el.corpus.writing import written


def row(document_id: str, text: str, type: str, *links: Link) -> list[str]:
    """The fields of one mention, as a program reads them."""
    mention = Mention("0", (Span(0, len(text)),), text, type)
    document = Document(document_id, (Passage("", 0, text),), (mention,))
    linked = LinkedMention(mention, links, tuple(link.concept_id for link in links))
    table = written("tsv", LinkedDocument(document, (linked,)))
    header, fields = csv.reader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert len(header) == len(fields) == 9
    assert table.count("\n") == 2
    return fields


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+)-cocaine", "'+)-cocaine"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" \t=1", "'=1"),
        ("\x00\x1b=1", "'=1"),
        ("'quoted'", "''quoted'"),
        ("(+)-tubocurarine", "(+)-tubocurarine"),
        ("-1", "-1"),
        ("-0.5", "-0.5"),
    ],
)
def test_no_field_is_a_formula(text: str, field: str) -> None:
    fields = row(text, text, text, Link(text, text, 0.5, ""))
    assert {fields[0], fields[3], fields[4]} == {field}
    assert not {"=", "+", "@"} & {value[:1] for value in fields}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("a\x1b[31mred", "a [31mred"),
        ("a\x9b2Jb", "a 2Jb"),
        ("a\x07\x08\x7fb", "a b"),
        ("a\r\nb\tc\u2028d\u0085e", "a b c d e"),
        ("\x00", ""),
    ],
)
def test_no_field_controls_a_terminal(text: str, field: str) -> None:
    fields = row(text, text, text, Link(text, text, 0.5, ""))
    assert [fields[0], fields[3], fields[4], fields[5], fields[7]] == [field] * 5


@pytest.mark.parametrize("names", [("a|b", "c"), ("a\\", "b"), ("a\\|", "|"), ("", "x")])
def test_ids_and_names_can_be_told_apart(names: tuple[str, str]) -> None:
    links = [Link(name or "empty", name, 0.5, "") for name in names]
    fields = row("1", "x", "", *links)
    assert split(fields[7]) == list(names)
    assert split(fields[5]) == [link.concept_id for link in links]


def split(field: str) -> list[str]:
    parts, rest = [""], iter(field)
    for character in rest:
        if character == "|":
            parts.append("")
        else:
            parts[-1] += next(rest) if character == "\\" else character
    return parts
