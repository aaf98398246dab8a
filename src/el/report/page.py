"""The report of a comparison as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

from el.evaluation.error_analysis import ERROR_KINDS, LinkingError
from el.ontology.ontology import Ontology
from el.report.scripts import script_data
from el.report.tables import Table

# The most errors of a system that the page holds, the most frequent first. More errors make the page larger.
_MOST_ERRORS = 2000


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, then text, plots and tables.

    Attributes:
        title: the heading.
        text: paragraphs of plain text.
        plots: plots as SVG text.
        tables: the tables.
    """

    title: str
    text: Sequence[str] = ()
    plots: Sequence[str] = ()
    tables: Sequence[Table] = ()


def render_page(
    title: str, sections: Sequence[Section], errors: Mapping[str, Sequence[LinkingError]], ontology: Ontology
) -> str:
    """Returns the HTML page: sections, and at the end the errors of each system to browse.

    Args:
        title: the title of the page.
        sections: the sections, in order.
        errors: the errors of each system, the most frequent first.
        ontology: gives the concepts' names.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("el.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html")
    return page.render(
        title=title,
        sections=sections,
        svg=Markup,
        kinds=ERROR_KINDS,
        systems=list(errors),
        errors=script_data(
            {
                system: [_row(error, ontology) for error in system_errors[:_MOST_ERRORS]]
                for system, system_errors in errors.items()
            }
        ),
    )


def _row(error: LinkingError, ontology: Ontology) -> dict[str, Any]:
    def named(concept_id: str) -> str:
        known = concept_id in ontology
        return f"{ontology.preferred_name(concept_id)} ({concept_id})" if known else concept_id or "–"

    return {
        "count": len(error.documents),
        "text": error.text,
        "expanded": "" if error.expanded == error.text else error.expanded,
        "type": error.type,
        "gold": [named(concept_id) for concept_id in error.gold],
        "answer": named(error.answer),
        "kind": error.kind,
        "unseen": error.unseen_form,
        "rank": error.rank,
        "documents": sorted(set(error.documents)),
    }
