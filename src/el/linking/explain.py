"""Shows a person why a mention is linked as it is: every candidate with its evidence."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from el.corpus.fields import NIL
from el.corpus.known_forms import senses_of
from el.corpus.types import Span
from el.linking.evidence import KINDS, NONE_KINDS
from el.linking.linker import Linker
from el.linking.query import Query
from el.ontology.ontology import kind_or_type

# Columns whose weighted evidence is smaller than this everywhere are left out: they would show 0.00.
_LEAST = 0.005


def explain(linker: Linker, text: str, mention_type: str, console: Console) -> None:
    """Prints the candidates of a mention without a document.

    Each candidate has its score and its weighted evidence. The last line has the evidence that none of the
    candidates is right. The score is the softmax of the sums of these rows, corrected for the mention's group
    (`Combination.probabilities`).

    Args:
        linker: the linker.
        text: the mention.
        mention_type: the mention's type, such as "disease"; "" if unknown.
        console: where to print.
    """
    senses = senses_of(text, Span(0, len(text)))
    query = Query("", "", text, kind_or_type(mention_type), (), text, senses=senses)
    (decision,) = linker.decide([query], linker.config.top_k)
    if not decision.links:
        console.print(f"{text}: no candidates", markup=False, highlight=False)
        return
    weighted = linker.weighted_evidence(query)
    rows = [weighted[link.concept_id] for link in decision.links]
    shown = [kind for kind in KINDS if any(abs(row[kind]) >= _LEAST for row in rows)]
    best, threshold = decision.links[0], linker.config.nil_below or 0.0
    table = Table(box=None)
    # In a narrow terminal names may wrap. Ids and numbers may not: half an id cannot be recognised.
    for heading in ("id", "name", "matched name", "score", *shown):
        table.add_column(heading, no_wrap="name" not in heading, overflow="fold")
    for link, row in zip(decision.links, rows, strict=True):
        values = (f"{row[kind]:+.2f}" for kind in shown)
        # Escaped, because Rich reads brackets as markup; in "benzo[a]pyrene" they are part of the name.
        names = map(escape, (link.concept_id, link.name, link.described_name))
        table.add_row(*names, f"{link.score:.3f}", *values)
    answer = best.concept_id if best.score >= threshold else f"-1 (no score reaches {threshold:.3f})"
    margin = f"{decision.margin:.3f} above the next"
    summary = f"{text}: {answer}, decided by {decision.decided_by}, {margin}\n"
    console.print(summary, markup=False, highlight=False)
    console.print(table)
    none = weighted[NIL]
    against = [f"{kind} {none[kind]:+.2f}" for kind in NONE_KINDS if abs(none[kind]) >= _LEAST]
    if against:
        console.print(f"\nno candidate is right: {', '.join(against)}", markup=False, highlight=False)
