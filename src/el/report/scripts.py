"""Values handed to a page's script."""

import json
from typing import Any

from markupsafe import Markup


def script_data(value: Any) -> Markup:
    """JSON that may stand in a script element: nothing in it ends the element or begins a comment."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))
