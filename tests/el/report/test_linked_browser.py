"""The page of linked documents in a real browser: keys, pointer, panel and filters."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from el.corpus.types import Document, LinkedDocument, Passage
from tests.browser import ENTER, ESCAPE, SPACE, TAB, Browser, browser_missing, open_browser
from tests.el.report.pages import render, report, short_note
from tests.el.report.test_linked import nasty_document

pytestmark = pytest.mark.skipif(browser_missing(), reason="no Chromium with chromedriver on this machine")

# What the panel says; "" while it is closed.
PANEL = "return document.getElementById('shown').hidden ? '' : document.getElementById('panel').innerText"


# The documents that are not hidden.
LEFT = "return [...document.querySelectorAll('article:not([hidden])')].map((one) => one.id)"


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(window: Browser, tmp_path: Path) -> Browser:
    """A window with the page of two documents, five mentions."""
    return opened(window, tmp_path, report(), short_note())


def opened(window: Browser, folder: Path, *documents: LinkedDocument) -> Browser:
    page = folder / "page.html"
    page.write_text(render(*documents), encoding="utf-8")
    window.open(page)
    # A mouse that stands on a mention points at it.
    window.point("h1")
    return window


def focused(browser: Browser) -> str:
    return str(browser.run("return document.activeElement.id"))


def mentions_of_class(browser: Browser, name: str) -> list[str]:
    script = f"return [...new Set([...document.querySelectorAll('main .{name}')].map((m) => m.dataset.m))]"
    return sorted(browser.run(script))


def choose(browser: Browser, control: str, value: str) -> None:
    """Sets a filter, and waits until the page has done what it asks."""
    browser.run(
        f"const control = document.getElementById('{control}'); control.value = {value!r};"
        "document.getElementById('count').textContent = '';"
        "control.dispatchEvent(new Event('input'));"
    )
    until(browser, "document.getElementById('count').textContent")


def text_of(browser: Browser, element: str) -> str:
    return str(browser.run(f"return document.getElementById('{element}').textContent"))


def style_of(browser: Browser, selector: str, name: str) -> str:
    return str(browser.run(f"return getComputedStyle(document.querySelector({selector!r})).{name}"))


def until(browser: Browser, condition: str) -> None:
    for _ in range(100):
        if browser.run(f"return Boolean({condition})"):
            return
        time.sleep(0.05)
    raise AssertionError(f"{condition}: not within 5 seconds")


def test_keys_walk_from_mention_to_mention(browser: Browser) -> None:
    browser.press("j")
    assert focused(browser) == "d1m0"
    browser.press("j", "j", "j", "j")
    assert focused(browser) == "d2m0"
    browser.press("j")
    assert focused(browser) == "d2m0"
    browser.press("k", "k")
    assert focused(browser) == "d1m2"
    browser.press(TAB)
    assert focused(browser) == "d1m3"


def test_the_panel_says_why(browser: Browser) -> None:
    assert browser.run(PANEL) == ""
    browser.press("j")
    said = browser.run(PANEL)
    for text in ("Renal failure", "Renal Insufficiency", "Renal Failure", "0.938", "0.907", "dictionary"):
        assert text in said
    assert "Acute Kidney Injury" in said
    assert browser.run(
        "return [...document.querySelectorAll('#candidates i')].map((bar) => bar.style.width)"
    ) == [
        "93.81%",
        "3.1%",
    ]
    assert browser.run("return document.querySelector('#answers a').href").endswith("?ui=D051437")
    browser.press("j", "j", "j")
    said = browser.run(PANEL)
    for text in ("NIL", "the first is remdesivir", "Matched name", "0.110, no other candidate"):
        assert text in said
    browser.press("k")
    assert "Closest name" in browser.run(PANEL)
    browser.press("j", "j")
    # No record of MeSH, so no link.
    assert browser.run("return document.querySelectorAll('#candidates a').length") == 1


@pytest.mark.parametrize("key", [ENTER, SPACE])
def test_keys_open_and_close(browser: Browser, key: str) -> None:
    browser.press("j", key)
    assert browser.run(PANEL) == ""
    assert mentions_of_class(browser, "focused") == ["0"]
    assert style_of(browser, ".focused", "outlineStyle") == "solid"
    browser.press(key)
    assert mentions_of_class(browser, "chosen") == ["0"]
    browser.press(ESCAPE)
    assert browser.run(PANEL) == ""
    assert focused(browser) == "d1m0"
    # From there it goes on.
    browser.press("j")
    assert focused(browser) == "d1m1"


def test_the_keyboard_goes_into_the_panel_and_back(browser: Browser) -> None:
    browser.press("j", "p")
    assert browser.run("return document.getElementById('panel').contains(document.activeElement)")
    browser.press(ESCAPE)
    assert (focused(browser), browser.run(PANEL)) == ("d1m0", "")


def test_a_slash_leads_to_the_search_where_letters_are_letters(browser: Browser) -> None:
    browser.press("/", "j", "k")
    assert focused(browser) == "search"
    assert browser.run("return document.getElementById('search').value") == "jk"
    browser.press(ESCAPE)
    assert focused(browser) != "search"


@pytest.mark.parametrize("control", ["by-stage", "from", "unsure"])
def test_escape_leaves_a_filter(browser: Browser, control: str) -> None:
    browser.run(f"document.getElementById('{control}').focus()")
    browser.press(ESCAPE, "j")
    assert focused(browser) == "d1m0"


def test_a_screen_reader_hears_what_a_mention_is_linked_to(browser: Browser) -> None:
    assert browser.label("#d1m0") == "Renal failure: Renal Insufficiency D051437, score 0.938"
    assert browser.label("#d1m3") == "zoltrixamide: NIL, best score 0.110"
    browser.press("j")
    expanded = "return document.getElementById('{}').getAttribute('aria-expanded')"
    assert browser.run(expanded.format("d1m0")) == "true"
    assert browser.run(expanded.format("d1m1")) == "false"


def test_the_pointer_shows_and_a_click_keeps(browser: Browser) -> None:
    browser.point("[data-m='3']")
    assert "zoltrixamide" in browser.run(PANEL)
    browser.point("#d2 [data-m='0']", click=True)
    assert focused(browser) == "d2m0"
    browser.point("#d1 [data-m='3']")
    assert "Aspirin" in browser.run(PANEL)


def test_clicks_go_from_the_shortest_mention_outwards(browser: Browser) -> None:
    opened_ones = []
    for _ in range(4):
        browser.point("#d1 [data-m='2']", click=True)
        opened_ones += [mentions_of_class(browser, "chosen")]
    assert opened_ones[0] == ["2"]
    assert opened_ones[1] == ["1"]
    # The middle of it lies between the two pieces of the longest, which is marked there too.
    assert opened_ones[2:] == [["0"], []]


def test_filters_take_mentions_out_and_make_unsure_ones_faint(browser: Browser) -> None:
    browser.press("j")
    choose(browser, "from", "0.95")
    assert mentions_of_class(browser, "faint") == ["0", "1", "3"]
    # What was open is not sure enough.
    assert browser.run(PANEL) == ""
    browser.press("j")
    assert focused(browser) == "d1m2"
    choose(browser, "of-type", "=disease")
    assert text_of(browser, "count") == "1 of 5 mentions, 1 of 2 documents"
    browser.press("j", "k")
    assert focused(browser) == "d1m2"
    choose(browser, "of-type", "")
    choose(browser, "by-stage", "=learned_synonym")
    browser.press("k", "k")
    assert focused(browser) == "d1m2"
    choose(browser, "by-stage", "")
    choose(browser, "from", "0")
    choose(browser, "answer", "nil")
    # What was open is filtered out.
    assert browser.run(PANEL) == ""
    browser.press("j")
    assert focused(browser) == "d1m3"


def test_the_unsure_mentions_are_found(browser: Browser) -> None:
    choose(browser, "to", "0.95")
    assert text_of(browser, "count") == "3 of 5 mentions, 2 of 2 documents"
    browser.press("k")
    assert focused(browser) == "d1m3"
    browser.point("#d2 [data-m='0']", click=True)
    assert mentions_of_class(browser, "chosen") == ["3"]
    # A bound takes the other along.
    choose(browser, "from", "0.97")
    assert (text_of(browser, "least"), text_of(browser, "most")) == ("0.97", "0.97")


def test_the_least_sure_mention_comes_first_where_that_is_asked(browser: Browser) -> None:
    browser.press("j")
    browser.point("#unsure", click=True)
    visited = []
    for _ in range(5):
        browser.press("j")
        visited.append(focused(browser))
    assert visited == ["d1m3", "d1m0", "d1m1", "d1m2", "d2m0"]


def test_the_search_leaves_the_documents_that_have_the_text(browser: Browser) -> None:
    found = {
        "HELPS": ["d2"],
        "d017093": ["d1"],
        " renal   insufficiency ": ["d1"],
        "zzz": [],
        # The table's own words, and what no mention is linked to.
        "dictionary": [],
        "nil": [],
        "remdesivir": [],
        "": ["d1", "d2"],
    }
    for text, documents in found.items():
        choose(browser, "search", text)
        assert browser.run(LEFT) == documents
    choose(browser, "search", "helps")
    browser.press("j")
    assert focused(browser) == "d2m0"


def test_documents_without_what_is_asked_for_are_hidden(browser: Browser) -> None:
    choose(browser, "answer", "nil")
    assert browser.run(LEFT) == ["d1"]
    choose(browser, "of-type", "=disease")
    choose(browser, "search", "zzz")
    assert browser.run(LEFT) == []
    assert text_of(browser, "wanted") == (
        "No document has “zzz” and a mention of type disease, without a concept."
    )
    browser.point("#none button", click=True)
    assert browser.run(LEFT) == ["d1", "d2"]
    assert not browser.run("return document.getElementById('none').checkVisibility()")
    assert text_of(browser, "count") == "5 of 5 mentions, 2 of 2 documents"


def test_keys_go_from_document_to_document(browser: Browser) -> None:
    browser.press("j", "n")
    assert focused(browser) == "d2h"
    assert browser.run(PANEL) == ""
    browser.press("k")
    assert focused(browser) == "d1m3"
    browser.press("n", "j")
    assert focused(browser) == "d2m0"
    browser.press("N", "n", "n")
    assert focused(browser) == "d2h"
    choose(browser, "search", "zoltrixamide")
    browser.press("N", "j")
    assert focused(browser) == "d1m0"


def test_the_legend_has_the_kinds_that_occur(browser: Browser) -> None:
    kinds = "return [...document.querySelectorAll('.legend .m:not([hidden])')].map((one) => one.dataset.kind)"
    assert browser.run(kinds) == ["chemical", "disease", "nil"]


def test_a_table_that_was_open_stays_open_after_printing(browser: Browser) -> None:
    tables = "return [...document.querySelectorAll('details')].map((table) => table.open)"
    browser.run("document.querySelector('details').open = true")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(tables) == [True, True]
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(tables) == [True, False]


def test_a_table_can_be_reached_and_is_not_cut_off(browser: Browser) -> None:
    browser.run("document.querySelector('details').open = true")
    wide = "const wide = document.querySelector('.wide'); return"
    assert browser.run(f"{wide} wide.scrollWidth === wide.clientWidth && wide.tabIndex === 0")
    assert browser.label(".wide") == "Links of first"


def test_forced_colours_leave_lines(browser: Browser) -> None:
    browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    try:
        browser.press("j")
        assert style_of(browser, "main .chosen", "outlineStyle") == "solid"
        assert style_of(browser, "main .nil", "borderTopStyle") == "solid"
        choose(browser, "of-type", "=disease")
        assert style_of(browser, "main .nil", "borderTopColor") == style_of(
            browser, "body", "backgroundColor"
        )
        bars = (".bar", "tr:not(.answer) .bar i", ".answer .bar i")
        assert len({style_of(browser, bar, "backgroundColor") for bar in bars}) == 3
    finally:
        browser.devtools("Emulation.setEmulatedMedia", features=[])


def test_texts_do_no_harm(window: Browser, tmp_path: Path) -> None:
    document = Document("3", (Passage("title", 1, "\ntwo\r\nlines\r"), Passage("p", 16, "  <b>\x85 &amp;\f")))
    browser = opened(window, tmp_path, nasty_document(), LinkedDocument(document, ()), report())
    assert browser.run("return document.querySelector('#d2 .text').textContent") == document.text
    browser.press("j")
    nasty = nasty_document().document.text
    assert browser.run("return document.getElementById('mention').textContent") == nasty
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert browser.log() == []


def test_a_page_without_scripts_can_be_read(window: Browser, tmp_path: Path) -> None:
    window.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser = opened(window, tmp_path, report())
        browser.press(TAB, TAB, TAB, TAB, ENTER)
        # The browser opens the table for the row that a mention leads to.
        until(browser, "location.hash === '#d1r3' && document.querySelector('details').open")
        assert not browser.run("return document.getElementById('filters').checkVisibility()")
    finally:
        window.devtools("Emulation.setScriptExecutionDisabled", value=False)


def test_a_narrow_window_has_its_panel_below(browser: Browser) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.devtools("Emulation.setDeviceMetricsOverride", **size)
    try:
        assert browser.run("return document.documentElement.scrollWidth") == 390
        visible = "return document.getElementById('panel').checkVisibility()"
        assert not browser.run(visible)
        browser.press("k")
        assert browser.run(visible)
        covered = (
            "const bottom = document.querySelector('main .chosen').getBoundingClientRect().bottom;"
            "return bottom > document.getElementById('panel').getBoundingClientRect().top"
        )
        assert not browser.run(covered)
        # Its heading, with what closes it, stays in sight.
        browser.run("document.getElementById('panel').scrollTop = 10000")
        edges = (
            "return ['panel', 'close'].map((id) => document.getElementById(id).getBoundingClientRect().top)"
        )
        panel, closer = browser.run(edges)
        assert panel <= closer < panel + 20
    finally:
        browser.devtools("Emulation.clearDeviceMetricsOverride")
