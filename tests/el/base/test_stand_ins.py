"""Files that hold something else in place of their content."""

from pathlib import Path

import pytest

from el.base.errors import InputError
from el.base.stand_ins import check_content, check_contents

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90868376\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", LFS, r"a pointer of Git LFS.*git lfs pull"),
        ("tokenizer.json", LFS.replace("v1", "v2"), "a pointer of Git LFS"),
        ("config.json", "\ufeff \n<!DOCTYPE html>\n<html>", "an HTML or XML page"),
        ("model.safetensors", "<html><head><title>Sign in</title>", "an HTML or XML page"),
        ("pytorch_model.bin", '<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "XML page"),
        ("config.json", '{"error":"Repository not found"}', 'begins with \'{"error":"Repository'),
        ("model.safetensors", "Entry not found", "begins with 'Entry not found'"),
        ("pytorch_model.bin", "Access to model is restricted.\n", "begins with 'Access to model"),
        ("tokenizer.json", "", "is empty"),
        ("vocab.txt", " \n\n", "is empty"),
    ],
)
def test_what_stands_in_is_named(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        check_content(tmp_path / name)
    with pytest.raises(InputError, match=message):
        check_contents(tmp_path, [name])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        # The length of a header of 60 bytes begins like a page, and one of 8,508 like a document type.
        ("model.safetensors", b"<\0\0\0\0\0\0\0" + b'{"a":{}}'.ljust(60)),
        ("model.safetensors", b"<!\0\0\0\0\0\0" + b'{"a":{}}'.ljust(8508)),
        ("pytorch_model.bin", b"PK\x03\x04"),
        ("config.json", b'{"message_dim": 3}'),
        ("vocab.txt", b"[PAD]\n<html>\n"),
    ],
)
def test_content_is_not_taken_for_something_else(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    check_contents(tmp_path, [name])


def test_json_must_be_whole(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 32, "voc')
    with pytest.raises(InputError, match=r"config\.json: truncated or not JSON"):
        check_contents(tmp_path, ["*.json"])
