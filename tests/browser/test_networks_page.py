"""Networks by hand: make one, put a container in, see who is there, take everything away again."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.fixtures.daemons import HavreDaemon


def test_a_network_from_its_form_to_its_end(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    engine.docker("run", "-d", "--name", "web", "-p", "8181:80", "busybox", "sleep", "1000")
    sign_in("olga")
    page.goto("/e/local/networks/")
    page.get_by_role("link", name="Network", exact=True).click()
    page.locator("input[value=macvlan]").check()
    expect(page.get_by_label("Parent")).to_be_visible()
    page.locator("input[value=bridge]").check()
    expect(page.get_by_label("Parent")).to_be_hidden()
    page.get_by_label("Name", exact=False).first.fill("app")
    page.get_by_label("Subnet", exact=True).fill("10.88.0.0/24")
    page.get_by_label("Gateway", exact=True).fill("10.99.0.1")
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".field-error")).to_contain_text("It lies outside 10.88.0.0/24")
    expect(page.get_by_label("Gateway", exact=True)).to_be_focused()
    page.get_by_label("Gateway", exact=True).fill("10.88.0.1")
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".object-head h1")).to_have_text("app")
    expect(page.get_by_text("No container. Connect one below")).to_be_visible()

    page.get_by_text("Connect a container").click()
    page.get_by_label("Container", exact=False).first.fill("web")
    page.get_by_label("Further names").fill("www")
    page.get_by_label("IPv4 address").fill("10.88.0.9")
    page.get_by_role("button", name="Connect").click()
    row = page.get_by_role("row").filter(has_text="web")
    expect(row).to_contain_text("10.88.0.9/24")
    expect(row).to_contain_text("www")
    expect(row.get_by_role("link", name="8181")).to_have_attribute("href", re.compile(r":8181/$"))
    expect(page.locator("#network-facts")).to_contain_text("web runs: it keeps the network from being removed")
    # What happens elsewhere is seen here.
    engine.docker("network", "disconnect", "app", "web")
    expect(row).to_have_count(0)
    engine.docker("network", "connect", "app", "web")
    expect(row).to_contain_text("10.88.0.")

    page.get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 running container is in it")
    dialog.get_by_label("Disconnect the running containers first").check()
    dialog.get_by_role("button", name="Remove").click()
    expect(page).to_have_url(re.compile(r"/networks/$"))
    expect(page.locator("#network-list")).not_to_contain_text("10.88.0.0/24")
    assert "app" not in engine.docker("network", "ls", "--format", "{{.Name}}").stdout.split()


def test_the_list_follows_and_fits_a_phone(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    sign_in("vera")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/e/local/networks/")
    expect(page.locator("#network-list")).to_contain_text("bridge")
    engine.docker("network", "create", "by-itself")
    row = page.locator("#network-list tr").filter(has_text="by-itself")
    expect(row).to_be_visible()
    for place in ("/e/local/networks/", "/e/local/networks/by-itself/"):
        page.goto(place)
        expect(page.locator("h1").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
    page.goto("/e/local/networks/")
    engine.docker("network", "rm", "by-itself")
    expect(row).to_have_count(0)


def test_every_place_is_in_sight_on_a_phone(page: Page, sign_in: Callable[[str], Page]) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in("ada")
    words = page.locator(".rail nav a span")
    expect(words.last).to_have_text("Jobs")
    for word in words.all():
        expect(word).to_be_in_viewport(ratio=1)
        assert word.evaluate("each => each.scrollWidth <= each.clientWidth"), word.inner_text()
    # What is at the end of a page is above the bar.
    page.goto("/e/local/networks/new/")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    below = page.get_by_role("button", name="Create").bounding_box()
    bar = page.locator(".rail").bounding_box()
    assert below
    assert bar
    assert below["y"] + below["height"] <= bar["y"]
