"""The whole way by hand: pull an image, run it, type into it, read its log, stop and remove it."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.fixtures.daemons import HavreDaemon

COMMAND = "trap exit TERM; echo the sun is up; while :; do sleep 0.2; done"
LONG = 60_000
"""Milliseconds for a pull of 65 MiB on a busy machine."""


def test_from_the_registry_to_a_shell_and_away_again(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    sign_in("olga")

    page.goto("/e/local/images/")
    page.get_by_label("Image to pull").fill("debian")
    page.get_by_role("button", name="Pull").click()
    job = page.locator("section.job")
    expect(job.locator(".layers progress").first).to_be_visible(timeout=LONG)
    expect(job).to_have_attribute("data-state", "succeeded", timeout=LONG)
    expect(page.locator("#image-list")).to_contain_text("debian:latest")

    page.locator("#image-list tr", has_text="debian:latest").get_by_role("link", name="Run").click()
    expect(page.get_by_role("textbox", name="Image")).to_have_value("debian:latest")
    page.locator("#id_name").fill("first-light")
    page.get_by_role("textbox", name="Command").fill(f"sh -c '{COMMAND}'")
    page.get_by_role("button", name="Create and start").click()
    expect(page.locator("#object-head")).to_contain_text("first-light")
    expect(page.locator("#object-head .state")).to_have_text("running")

    page.get_by_role("link", name="Terminal").click()
    expect(page.locator("section.terminal .stream-state")).to_have_text("Connected")
    page.keyboard.type("echo $((6*7))\n")
    expect(page.locator(".xterm-rows > div").filter(has_text=re.compile(r"^42\s*$"))).to_be_visible()
    page.get_by_role("button", name="Disconnect").click()

    page.get_by_role("link", name="Logs").click()
    expect(page.get_by_role("log")).to_contain_text("the sun is up")

    head = page.locator("#object-head")
    head.get_by_role("button", name="Stop").click()
    expect(head.locator(".state")).to_have_text("exited")
    head.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page).to_have_url(re.compile(r"/e/local/containers/$"))
    expect(page.get_by_text("No containers yet")).to_be_visible()
    assert engine.docker("ps", "-aq").stdout == ""


def test_a_list_changes_by_itself(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    sign_in("vera")
    page.goto("/e/local/containers/")
    expect(page.get_by_text("No containers yet")).to_be_visible()
    engine.docker("run", "-d", "--name", "by-itself", "busybox", "sleep", "1000")
    row = page.get_by_role("row").filter(has_text="by-itself")
    expect(row).to_contain_text("running")
    engine.docker("kill", "by-itself")
    expect(row).to_contain_text("exited")
    engine.docker("rm", "by-itself")
    expect(row).to_have_count(0)


def test_a_viewer_sees_and_changes_nothing(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    engine.docker("run", "-d", "--name", "looked-at", "busybox", "sleep", "1000")
    sign_in("vera")
    page.goto("/e/local/containers/")
    page.get_by_role("link", name="looked-at").click()
    expect(page.locator("#object-head")).to_contain_text("looked-at")
    for name in ("Stop", "Kill", "Remove"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_it_fits_a_phone_in_the_dark(
    new_context: Callable[..., BrowserContext], sign_in: Callable[..., Page], engine: HavreDaemon
) -> None:
    engine.docker("run", "-d", "--name", "pocket", "-p", "8080:80", "busybox", "sleep", "1000")
    phone = new_context(viewport={"width": 360, "height": 740}, color_scheme="dark", has_touch=True).new_page()
    sign_in("olga", on=phone)
    for path in ("/e/local/", "/e/local/containers/", "/e/local/containers/new/", "/e/local/images/", "/jobs/"):
        phone.goto(path)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360, f"{path} is wider than a phone"


def test_no_list_is_wider_than_its_page(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    """Nor than its card, where its last column would be cut off: between a phone and a desk there are tablets."""
    name = "a-rather-long-container-name-of-some-pipeline-with-its-build-4711"
    ports = [word for port in range(9101, 9105) for word in ("-p", f"{port}:{port}")]
    engine.docker("run", "-d", "--name", name, *ports, "-v", f"{name}:/data", "busybox", "sleep", "1000")
    sign_in("olga")
    wider = "Math.max(...[...document.querySelectorAll('.card, #content')].map((e) => e.scrollWidth - e.clientWidth))"
    for path in ("", "containers/", "images/", "networks/bridge/", "volumes/"):
        page.goto(f"/e/local/{path}")
        for width in (1280, 1024, 680):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{path} at {width}"
            assert page.evaluate(wider) <= 1, f"{path} at {width}"
    engine.docker("rm", "-f", name)
    engine.docker("volume", "rm", name)
