"""The table of mentions that were found in plain text, and of their links."""

from collections.abc import Mapping

from el.report.tables import Table
from el.tagging.labels import TYPES

# The titles of the rows, in their order.
_TITLES = {
    "all": "span and type",
    **{kind: f"… {kind}" for kind in TYPES},
    "mentions": "span, type and id",
    "documents": "ids of a document",
    **{f"documents_{kind}": f"… {kind}" for kind in TYPES},
}


def found_table(flat: Mapping[str, float], caption: str) -> Table:
    """Returns the figures of systems that find mentions, as a table.

    Args:
        flat: `<system>/<row>/<metric>`, by `el.evaluation.mentions.figures`. Kinds that the corpus does not
            annotate have no rows.
        caption: the caption.
    """
    systems = list(dict.fromkeys(key.split("/")[0] for key in flat))
    rows = []
    for row, title in _TITLES.items():
        for system in systems:
            if f"{system}/{row}/count" not in flat:
                continue
            one = {
                name: flat[f"{system}/{row}/{name}"]
                for name in ("precision", "recall", "f1", "f1_lo", "f1_hi")
            }
            cells = {name: f"{value:.3f}".removeprefix("0") for name, value in one.items()}
            interval = f"{cells['f1']} ({cells['f1_lo']}–{cells['f1_hi']})"
            count = f"{flat[f'{system}/{row}/count']:,.0f}"
            rows.append((title, system, cells["precision"], cells["recall"], interval, count))
    return Table(caption, ("right", "found by", "precision", "recall", "F1 (95 %)", "count"), rows, left=2)
