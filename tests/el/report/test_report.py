"""The HTML report: complete, self-contained, and safe against what texts may hold."""

import html
import json
import re
from xml.etree import ElementTree

from el.evaluation.error_analysis import LinkingError
from el.linking.evidence import OperatingPoint
from el.report.page import Section, render_page
from el.report.plots import Measured, accuracy_plot, coverage_plot, latency_plot, size_plot
from el.report.tables import Table
from tests.tiny import tiny_ontology

NASTY = "</script><script>alert(1)</script>"


def error(text: str) -> LinkingError:
    return LinkingError(
        text, text, "disease", ("D003139", "D9"), "D006261", "sibling", True, 3, ("1", "2", "1")
    )


def page() -> str:
    plot = accuracy_plot([Measured("bi_encoder", 0.8, 0.75, 0.85)], "A <title>")
    table = Table("Caption & more", ["system", "all"], [["<b>", ".800"]])
    sections = [Section("First", ("Text.",), (plot,), (table,))]
    return render_page(f"Title {NASTY}", sections, {"el_link": [error(NASTY)]}, tiny_ontology())


def test_texts_cannot_break_out_of_the_page() -> None:
    assert NASTY not in page()
    assert html.escape(NASTY) in page()
    assert "<td>&lt;b&gt;</td>" in page()


def test_errors_are_in_the_page_with_names_and_documents() -> None:
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page(), re.DOTALL)
    assert data is not None
    (row,) = json.loads(data.group(1))["el_link"]
    assert row["text"] == NASTY
    assert row["gold"] == ["Common Cold (D003139)", "D9"]
    assert row["answer"] == "Headache (D006261)"
    assert (row["count"], row["documents"], row["expanded"]) == (3, ["1", "2"], "")


def test_the_page_needs_nothing_from_elsewhere() -> None:
    loaded = re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", page())
    assert [target for target in loaded if not target.startswith("#")] == []
    # The pattern would find another.
    assert "<script" in page()
    assert "@import" not in page()


def test_plots_are_the_same_every_time_and_show_what_they_are_given() -> None:
    systems = [Measured("bi_encoder", 0.8, 0.75, 0.85, 5.0), Measured("hypencoder_2", 0.9, 0.85, 0.95, 9.0)]
    curve = [OperatingPoint(0.1, 1.0, 0.8, 0.7), OperatingPoint(0.9, 0.5, 0.95, 0.9)]
    points = [(1e4, 2.0), (1e5, 3.0)]
    for draw, names in (
        (lambda: accuracy_plot(systems, "a title"), {"bi_encoder", "hypencoder_2"}),
        (lambda: latency_plot(systems, "a title"), {"bi_encoder", "hypencoder_2"}),
        (lambda: size_plot({"bi_encoder": points, "el_link": points}, "a title"), {"bi_encoder", "el_link"}),
        (lambda: coverage_plot({"without": curve, "with": curve}, "a title"), {"without", "with"}),
    ):
        assert draw() == draw()
        texts = {element.text for element in ElementTree.fromstring(draw()).iter() if element.text}
        assert names | {"a title"} <= texts
    # A system that was not timed has no point in the plot.
    untimed = latency_plot([Measured("encoder", 0.8, 0.7, 0.9)], "latencies")
    assert "encoder" not in {element.text for element in ElementTree.fromstring(untimed).iter()}
