"""Data for the scripts of HTML pages."""

import json
from typing import Any

from markupsafe import Markup


def script_data(value: Any) -> Markup:
    """Returns a value as JSON for a script element. No text in it can end the element or start a comment."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))
