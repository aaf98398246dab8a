"""The page of linked documents in a real browser: keys, pointer, panel and filters."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from el.corpus.types import Document, LinkedDocument, Passage
from tests.browser import ENTER, ESCAPE, TAB, Browser, browser_missing, open_browser
from tests.el.report.pages import render, report, short_note
from tests.el.report.test_linked import nasty_document

pytestmark = pytest.mark.skipif(browser_missing(), reason="no Chromium with chromedriver on this machine")

# What the panel says; "" while it is closed.
PANEL = "return document.getElementById('shown').hidden ? '' : document.getElementById('panel').innerText"


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


def test_enter_and_escape_open_and_close(browser: Browser) -> None:
    browser.press("j", ENTER)
    assert browser.run(PANEL) == ""
    assert mentions_of_class(browser, "focused") == ["0"]
    browser.press(ENTER)
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
    choose(browser, "from", "0.95")
    assert mentions_of_class(browser, "faint") == ["0", "1", "3"]
    choose(browser, "of-type", "=disease")
    counted = browser.run("return document.getElementById('count').textContent")
    assert counted == "1 of 5 mentions, 2 of 2 documents"
    browser.press("k")
    assert focused(browser) == "d1m2"
    choose(browser, "of-type", "")
    choose(browser, "by-stage", "=learned_synonym")
    browser.press("k", "k")
    assert focused(browser) == "d1m2"
    choose(browser, "by-stage", "")
    choose(browser, "answer", "nil")
    # What was open is filtered out.
    assert browser.run(PANEL) == ""
    browser.press("j")
    assert focused(browser) == "d1m3"


def test_the_search_leaves_the_documents_that_have_the_text(browser: Browser) -> None:
    left = "return [...document.querySelectorAll('article:not([hidden])')].map((one) => one.id)"
    for text, documents in (("HELPS", ["d2"]), ("d017093", ["d1"]), ("zzz", []), ("", ["d1", "d2"])):
        choose(browser, "search", text)
        assert browser.run(left) == documents
    choose(browser, "search", "helps")
    browser.press("j")
    assert focused(browser) == "d2m0"


def test_a_table_can_be_reached_and_is_not_cut_off(browser: Browser) -> None:
    browser.run("document.querySelector('details').open = true")
    wide = "const wide = document.querySelector('.wide'); return"
    assert browser.run(f"{wide} wide.scrollWidth === wide.clientWidth && wide.tabIndex === 0")
    assert browser.label(".wide") == "Links of first"


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
    finally:
        browser.devtools("Emulation.clearDeviceMetricsOverride")
