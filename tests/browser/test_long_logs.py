"""A log of a million lines: the tab stays light, and finds what one looks for."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.fixtures.daemons import HavreDaemon

LINES = 1_000_000
LONG = 240_000
COUNT = "[...document.querySelectorAll('.log-chunk')].reduce((sum, each) => sum + each.chunk.lines.length, 0)"


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
    expect(log).to_contain_text(f"line {LINES} of", timeout=LONG)
    assert page.evaluate(COUNT) == LINES
    assert page.locator(".log-line").count() < 3000
    expect(page.locator(".log-chip")).to_be_hidden()
    page.get_by_label("Search the log").fill("line 500000 of")
    expect(page.locator(".logs output")).to_have_text("1 of 1", timeout=LONG)
    expect(page.locator(".log-current")).to_contain_text("line 500000 of a long log")
    engine.docker("exec", "big", "sh", "-c", "for i in 1 2 3; do echo fresh $i; done > /proc/1/fd/1")
    expect(page.locator(".log-chip")).to_have_text("3 new lines")
    page.locator(".log-chip").click()
    expect(log).to_contain_text("fresh 3")
