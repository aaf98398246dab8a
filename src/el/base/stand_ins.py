"""Files that hold something else in place of their content, because they were not fetched properly.

Git without LFS leaves pointers. A browser or curl saves the page of a server that wants a login. Libraries
report such files as broken, or raise an error that does not name them.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from el.base.errors import InputError

_LFS = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml|error)\b", re.IGNORECASE)
_ERROR = re.compile(rb'\s*\{\s*"(?:error|message)"\s*:')
# Bytes at the beginning of a file that show what it is. Pages may begin with many blank lines.
_HEAD = 4096
# Characters of a text that a message shows.
_SHOWN = 60
# Files whose content is never text.
_BINARY = (".safetensors", ".bin")


def check_content(path: Path) -> None:
    """Checks that a file holds its content, and not what stands in for the content.

    Args:
        path: an existing file. Files ending in .safetensors or .bin must not be text.

    Raises:
        InputError: the file is empty, a pointer of Git LFS, a page, or a server's message.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    head = head.removeprefix(b"\xef\xbb\xbf")
    again = "Fetch the file again, from an address that needs no login"
    if not head.strip():
        raise InputError(path, "", "truncated or broken: the file is empty", "Fetch the file again")
    if head.lstrip().startswith(_LFS):
        remedy = (
            "Run `git lfs install` and `git lfs pull` in the repository that it comes from, or download it"
        )
        raise InputError(path, "", "a pointer of Git LFS, not the file itself", remedy)
    if _PAGE.match(head):
        raise InputError(path, "", "an HTML or XML page, not the file itself", again)
    if _ERROR.match(head) or (path.suffix in _BINARY and _is_text(head)):
        shown = " ".join(head.decode(errors="replace").split())[:_SHOWN]
        raise InputError(path, "", f"a text, not the file itself. It begins with {shown!r}", again)


def check_contents(folder: Path, patterns: Iterable[str]) -> None:
    """Checks the files of a folder that match patterns; see `check_content`. JSON files must be whole.

    Raises:
        InputError: a file does not hold its content.
    """
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        check_content(path)
        if path.suffix == ".json":
            try:
                json.loads(path.read_bytes())
            except ValueError as error:
                problem = f"truncated or not JSON ({error})"
                raise InputError(path, "", problem, "Fetch the file again") from error


def _is_text(head: bytes) -> bool:
    text = head.decode(errors="ignore")
    return all(character.isprintable() or character.isspace() for character in text) and b"\0" not in head
