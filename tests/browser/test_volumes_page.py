"""Volumes by hand: make one, see how much is in it and who has it, remove the unused ones knowingly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.processes import wait_until


@pytest.fixture(autouse=True)
def _no_volumes(engine: HavreDaemon) -> Iterator[None]:
    yield
    engine.remove_everything()
    if names := engine.docker("volume", "ls", "-q").stdout.split():
        engine.docker("volume", "rm", *names)


def test_a_volume_and_what_is_in_it(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    sign_in("olga")
    page.goto("/e/local/volumes/")
    page.get_by_role("link", name="Make the first one").click()
    page.locator("input[value=nfs]").check()
    expect(page.get_by_role("textbox", name="Server")).to_be_visible()
    page.locator("input[value=data]").check()
    expect(page.get_by_role("textbox", name="Server")).to_be_hidden()
    page.get_by_label("Name", exact=False).first.fill("my-data")
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".object-head")).to_contain_text("my-data")
    expect(page.locator(".object-head .state")).to_have_text("unused")

    fill = "dd if=/dev/zero of=/d/x bs=1000 count=2000"
    engine.docker("run", "-d", "--name", "writer", "-v", "my-data:/d", "busybox", "sh", "-c", f"{fill}; sleep 1000")
    wait_until(lambda: "2000+0 records out" in engine.docker("logs", "writer").stderr, what="data in it")
    expect(page.locator(".object-head .state")).to_have_text("in use")
    expect(page.get_by_role("row").filter(has_text="writer")).to_contain_text("/d")
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)

    page.goto("/e/local/volumes/")
    row = page.get_by_role("row").filter(has_text="my-data")
    expect(row).to_contain_text("writer")
    engine.docker("rm", "-f", "writer")
    expect(row).to_contain_text("nothing")
    elsewhere = page.get_by_role("row").filter(has_text="from-elsewhere")
    engine.docker("volume", "create", "from-elsewhere")
    expect(elsewhere).to_contain_text("0 B")  # measured anew, as it was made since
    engine.docker("volume", "rm", "from-elsewhere")
    expect(elsewhere).to_have_count(0)
    engine.docker("volume", "create")
    page.get_by_role("link", name="Unused").click()
    total = page.locator("[data-total-target=sum]")
    # Measured anew, for the data came after the last look.
    expect(page.get_by_role("row").filter(has_text="my-data")).to_contain_text("2 MB")
    expect(total).to_have_text("Frees 0 B")
    page.get_by_role("row").filter(has_text="my-data").get_by_role("checkbox").check()
    expect(total).to_have_text("Frees 2.0 MB")
    page.get_by_role("button", name="Remove the chosen").click()
    expect(page.locator("section.job")).to_have_attribute("data-state", "succeeded")
    expect(page.locator("section.job")).to_contain_text(re.compile(r"2 volumes removed, 2 MB freed"))
    assert engine.docker("volume", "ls", "-q").stdout == ""
    page.set_viewport_size({"width": 360, "height": 740})
    for place in ("/e/local/volumes/", "/e/local/volumes/new/", "/e/local/volumes/prune/"):
        page.goto(place)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
