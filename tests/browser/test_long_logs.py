"""Logs of very many lines: the tab stays light, their end is followed, a place in them is kept, and words are found."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.fixtures.daemons import HavreDaemon

LINES = 1_000_000
MANY = 200_000
LONG = 240_000
WHOLE = """(lines) => lines ===
  [...document.querySelectorAll('.log-chunk')].reduce((sum, each) => sum + each.chunk.lines.length, 0)"""
AT_END = """() => {
  const view = document.querySelector('.log-view');
  return view.scrollHeight - view.scrollTop - view.clientHeight < 40;
}"""
TOP_LINE = """() => {
  const view = document.querySelector('.log-view').getBoundingClientRect();
  const row = document.elementFromPoint(view.left + 60, view.top + 40).closest('.log-line');
  return row && row.textContent.match(/line (\\d+)/)?.[1];
}"""
SEEN = """(text) => {
  const view = document.querySelector('.log-view').getBoundingClientRect();
  const row = document.querySelector('.log-current');
  const place = row?.getBoundingClientRect();
  return !!row && row.textContent.includes(text) && place.top >= view.top && place.bottom <= view.bottom;
}"""


@pytest.mark.parametrize("terminal", [(), ("-t",)], ids=["pipes", "terminal"])
def test_a_long_line_is_one(page: Page, sign_in: SignIn, engine: HavreDaemon, terminal: tuple[str, ...]) -> None:
    """However many pieces it comes in, and wherever they are cut."""
    engine.docker("pull", "-q", "busybox")
    script = (
        'awk \'BEGIN { for (i = 0; i < 8000; i++) printf "é %d,", i; print " end" }\'; echo after; '
        "read word; echo still after"
    )
    engine.docker("run", "-di", *terminal, "--name", "wide", "busybox", "sh", "-c", script)
    sign_in("olga")
    page.goto("/e/local/containers/wide/logs/")
    rows = page.locator(".log-line")
    expect(rows).to_have_count(2)
    text = rows.first.text_content() or ""
    assert text.partition("é")[2] == "".join(f"é {i}," for i in range(8000))[1:] + " end"
    assert "\N{REPLACEMENT CHARACTER}" not in text
    page.get_by_label("Search the log").fill("é 7998,")
    expect(page.locator(".logs output")).to_have_text("1 of 1")
    expect(page.locator(".log-current mark")).to_be_in_viewport()


def test_a_line_that_is_longer_than_a_row(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    """It goes on in another row that says so, is found where it is cut, and is copied and downloaded as one line."""
    engine.docker("pull", "-q", "busybox")
    script = 'echo before; awk \'BEGIN { for (i = 0; i < 52000; i++) printf "%d,", i; print " end" }\'; echo after'
    engine.docker("run", "-d", "--name", "wider", "busybox", "sh", "-c", script)
    line = "".join(f"{number}," for number in range(52000)) + " end"
    sign_in("olga")
    page.goto("/e/local/containers/wider/logs/")
    page.get_by_label("Wrap").click()
    rows = page.locator(".log-line")
    expect(rows).to_have_count(4)
    assert page.locator(".log-continued").count() == 1
    expect(page.locator(".log-continued")).to_have_attribute("title", re.compile("goes on with the line above"))
    first, rest = ((rows.nth(number).evaluate("row => row.lastChild.textContent") or "") for number in (1, 2))
    assert first + rest == line
    page.get_by_label("Search the log").fill(first[-9:] + rest[:9])
    expect(page.locator(".logs output")).to_have_text("1 of 1")
    expect(page.locator(".log-current.log-continued")).to_be_in_viewport()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("() => getSelection().selectAllChildren(document.querySelector('.log-view'))")
    page.locator(".log-view").focus()
    page.keyboard.press("Control+C")
    assert page.evaluate("() => navigator.clipboard.readText()") == f"before\n{line}\nafter"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text() == f"before\n{line}\nafter\n"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_million_lines(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    script = f'awk \'BEGIN {{ for (i = 1; i <= {LINES}; i++) print "line " i " of a long log" }}\'; sleep 600'
    engine.docker("run", "-d", "--name", "big", "--log-opt", "max-size=400m", "busybox", "sh", "-c", script)
    sign_in("olga")
    page.goto("/e/local/containers/big/logs/")
    page.get_by_label("Last").select_option("all")
    log = page.get_by_role("log")
    page.wait_for_function(WHOLE, arg=LINES, timeout=LONG)
    expect(log.locator(".log-line").last).to_contain_text(f"line {LINES} of")
    assert page.locator(".log-line").count() < 3000
    expect(page.locator(".log-chip")).to_be_hidden()
    page.get_by_label("Search the log").fill("line 500000 of")
    expect(page.locator(".logs output")).to_have_text("1 of 1", timeout=LONG)
    expect(page.locator(".log-current")).to_contain_text("line 500000 of a long log")
    engine.docker("exec", "big", "sh", "-c", "for i in 1 2 3; do echo fresh $i; done > /proc/1/fd/1")
    expect(page.locator(".log-chip")).to_have_text("3 new lines")
    page.locator(".log-chip").click()
    expect(log).to_contain_text("fresh 3")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_lines_that_wrap(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    words = "and it is far too long for the width of any window, so that it goes on below"
    script = (
        f'awk \'BEGIN {{ for (i = 1; i <= {MANY}; i++) print "line " i " {words}" }}\'; '
        "while read word; do echo $word; done"
    )
    engine.docker("run", "-di", "--name", "many", "--log-opt", "max-size=400m", "busybox", "sh", "-c", script)
    page.set_viewport_size({"width": 700, "height": 800})
    sign_in("olga")
    page.goto("/e/local/containers/many/logs/")
    page.get_by_label("Last").select_option("all")
    log = page.get_by_role("log")
    page.wait_for_function(WHOLE, arg=MANY, timeout=LONG)
    page.wait_for_function(AT_END)
    expect(log.locator(".log-line").last).to_contain_text(f"line {MANY} and")

    # What is looked for is shown, wherever it is, however high the lines above it are.
    search = page.get_by_label("Search the log")
    for number in (123_456, 77, 199_000):
        search.fill(f"line {number} and")
        expect(page.locator(".logs output")).to_have_text("1 of 1", timeout=LONG)
        page.wait_for_function(SEEN, arg=f"line {number} and")
    # Every line matches: from one to the next is a matter of the moment.
    search.fill("too long")
    expect(page.locator(".logs output")).to_have_text("200,000 of 200,000", timeout=LONG)
    page.get_by_role("button", name="Previous match").click()
    expect(page.locator(".logs output")).to_have_text("199,999 of 200,000")
    page.wait_for_function(SEEN, arg=f"line {MANY - 1} and")

    # Whoever reads in the middle stays there, whatever comes at the end and however the lines are shown.
    search.fill("line 100000 and")
    page.wait_for_function(SEEN, arg="line 100000 and")
    before = page.evaluate(TOP_LINE)
    say(engine, 300)
    expect(page.locator(".log-chip")).to_have_text("300 new lines", timeout=LONG)
    assert page.evaluate(TOP_LINE) == before
    for _ in range(2):
        page.get_by_label("Wrap").click()
        page.wait_for_function(SEEN, arg="line 100000 and")
    page.locator(".log-chip").click()
    page.wait_for_function(AT_END)
    expect(log.locator(".log-line").last).to_contain_text("fresh 300")
    # And the end is followed again.
    say(engine, 5)
    expect(page.locator(".log-chip")).to_be_hidden()
    page.wait_for_function(AT_END)
    assert page.locator(".log-line").count() < 3000


def say(engine: HavreDaemon, lines: int) -> None:
    engine.docker("exec", "many", "sh", "-c", f"for i in $(seq {lines}); do echo fresh $i; done > /proc/1/fd/1")
