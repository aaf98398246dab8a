import pytest

from el.base.errors import ConfigError, ElError, InputError, UnreadableError, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\x9bb\x7f\x00\rc", r"a\x9bb\x7f\x00\rc"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("half \udcff", r"half \udcff"),
        ("naïve β-thalassämie 😀…", "naïve β-thalassämie 😀…"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_messages_hold_no_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(ElError(text)) == str(ConfigError(text)) == shown
    assert shown.replace("\n", r"\n") in str(InputError(text, text, "is wrong", "Correct it"))


def test_a_file_name_begins_no_line_of_its_own() -> None:
    error = UnreadableError("a\nerror: b", "document 1\n2", "is wrong", "Correct it")
    assert "\n" not in str(error)
    assert "\n" not in str(error.of("c\nd"))
