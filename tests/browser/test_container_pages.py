"""The further pages of a container: what it uses, what it has changed, why it ended, and changing it."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.fixtures.daemons import HavreDaemon

LONG = 30_000


def test_what_a_container_uses_and_how_it_dies(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    script = "echo 'my last words' >&2; touch /new; sleep 600 & while :; do :; done"
    engine.docker("run", "-d", "--name", "busy", "-m", "64m", "busybox", "sh", "-c", script)
    sign_in("olga")
    page.goto("/e/local/containers/")
    page.get_by_role("link", name="busy", exact=True).click()

    page.get_by_role("link", name="Usage").click()
    cpu = page.locator('output[data-kind="cpu"]')
    expect(cpu).to_have_text(re.compile(r"^\d+ %$"), timeout=LONG)
    expect(page.locator('output[data-kind="memory"]')).to_contain_text("/ 67 MB")
    expect(page.locator(".chart canvas")).to_have_count(4)
    expect(page.locator(".processes table")).to_contain_text("sleep 600")

    page.get_by_role("link", name="Changes").click()
    expect(page.locator(".changes")).to_contain_text("/new")

    page.locator("#object-head summary").click()
    page.get_by_role("link", name="Rename and limits").click()
    page.get_by_label("Name").fill("calm")
    page.get_by_label("CPUs").fill("0.2")
    page.get_by_role("button", name="Change busy").click()
    expect(page.locator("#object-head")).to_contain_text("calm")
    assert engine.docker("inspect", "-f", "{{.HostConfig.NanoCpus}}", "calm").stdout == "200000000\n"

    page.locator("#object-head").get_by_role("button", name="Pause").click()
    expect(page.locator("#object-head .state")).to_have_text("paused")
    page.locator("#object-head").get_by_role("button", name="Go on").click()
    expect(page.locator("#object-head .state")).to_have_text("running")
    engine.docker("exec", "calm", "sh", "-c", "kill -9 1; true", check=False)
    engine.docker("kill", "calm", check=False)
    expect(page.locator("#object-head .state")).to_have_text("exited")
    page.reload()
    expect(page.locator(".death")).to_contain_text("SIGKILL")
    page.locator(".death summary").first.click()
    expect(page.locator(".death pre")).to_contain_text("my last words")
    page.set_viewport_size({"width": 360, "height": 740})
    # The operator sees more than a viewer: long variables and a command, too.
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_an_image_is_made_of_it_and_a_signal_sent(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    engine.docker("pull", "-q", "busybox")
    script = "trap 'exit 3' USR1; echo hello > /page; while :; do sleep 0.1; done"
    engine.docker("run", "-d", "--name", "maker", "busybox", "sh", "-c", script)
    sign_in("olga")
    page.goto("/e/local/containers/maker/")
    head = page.locator("#object-head")
    head.locator("summary").click()
    page.get_by_role("button", name="Commit to an image").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Image").fill("team/made:1")
    dialog.get_by_role("button", name="Commit").click()
    # The job tells how it goes, again and again, and the dialog stays for that.
    expect(dialog.locator(".job")).to_have_attribute("data-state", "succeeded", timeout=LONG)
    assert engine.docker("run", "--rm", "team/made:1", "cat", "/page").stdout == "hello\n"
    dialog.get_by_role("button", name="Close").click()

    head.locator("summary").click()
    page.get_by_role("button", name="Send a signal").click()
    dialog.get_by_label("Signal").select_option("SIGUSR1")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog).to_have_count(0)
    expect(head.locator(".state")).to_have_text("exited")
    page.reload()
    expect(page.locator(".death-verdict")).to_contain_text("ended by itself with 3")


def test_its_page_tells_that_it_was_removed(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    engine.docker("create", "--name", "brief", "busybox")
    sign_in("olga")
    page.goto("/e/local/containers/brief/")
    engine.docker("rm", "brief")
    expect(page.locator("#messages")).to_contain_text("No such container")
    expect(page.locator("#object-head")).to_have_js_property("inert", True)


def test_a_phone_shows_the_charts(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    engine.docker("run", "-d", "--name", "small", "busybox", "sleep", "600")
    sign_in("vera")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/e/local/containers/")
    page.get_by_role("link", name="small").click()
    page.get_by_role("link", name="Usage").click()
    expect(page.locator('output[data-kind="cpu"]')).to_have_text(re.compile("%"), timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    engine.docker("kill", "small")
    for place in ("/e/local/", "/e/local/containers/small/", "/e/local/volumes/"):
        page.goto(place)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
    page.goto("/e/local/containers/small/usage/")
    # A viewer sees what is used, not the arguments of processes.
    expect(page.locator(".processes")).to_have_count(0)
