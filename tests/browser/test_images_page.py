"""Images by hand: look inside, name, compare, save to a file, and send that file back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.fixtures.daemons import HavreDaemon


def test_an_image_inside_out_and_back(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon, tmp_path: Path
) -> None:
    engine.docker("pull", "-q", "busybox")
    engine.docker("run", "--name", "maker", "busybox", "dd", "if=/dev/urandom", "of=/big", "bs=1000", "count=9000")
    engine.docker("commit", "-c", "ENV MODE=fast", "maker", "team/app:2")
    engine.docker("rm", "maker")
    sign_in("olga")
    page.goto("/e/local/images/")
    page.get_by_role("link", name="team/app:2").click()
    expect(page.locator(".image-layers")).to_contain_text("9 MB")
    expect(page.locator(".facts").first).to_be_visible()

    page.get_by_label("A further name").fill("team/app:kept")
    page.get_by_role("button", name="Tag").click()
    names = page.locator(".plain-list").first
    expect(names).to_contain_text("team/app:kept")
    page.get_by_role("button", name="Take team/app:2 away").click()
    expect(names).not_to_contain_text("team/app:2")

    page.get_by_role("link", name="Compare").click()
    page.get_by_label("The other image").fill("busybox:latest")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#content")).to_contain_text("Variable MODE")
    expect(page.locator(".counts")).to_contain_text(re.compile(r"\W9 MB\s*in all"))
    page.go_back()
    page.go_back()
    # The whole page, not the fragment that came last from its address.
    expect(page.locator(".rail")).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("link", name="Save").click()
    archive = tmp_path / download.value.suggested_filename
    download.value.save_as(archive)
    assert archive.name == "team_app_kept.tar"
    page.get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("9 MB are freed")
    dialog.get_by_role("button", name="Remove").click()
    expect(page).to_have_url(re.compile(r"/images/$"))
    expect(page.locator("#image-list")).not_to_contain_text("team/app:kept")

    # 9 MB go in three pieces.
    page.get_by_role("link", name="Load").click()
    page.get_by_label("Archive").set_input_files(archive)
    expect(page.locator("[data-upload-target=name]")).to_contain_text("team_app_kept.tar")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("section.job")).to_have_attribute("data-state", "succeeded", timeout=40_000)
    expect(page.locator("section.job")).to_contain_text("team/app:kept")
    assert "team/app:kept" in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    page.set_viewport_size({"width": 360, "height": 740})
    places = ("/e/local/images/", "/e/local/images/load/", "/e/local/images/prune/", "/e/local/images/busybox:latest/")
    for place in (*places, "/e/local/images/compare/?a=busybox:latest&b=team/app:kept"):
        page.goto(place)
        expect(page.locator("h1").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
    # A job with a long name, refused with a long sentence.
    page.goto("/e/local/images/")
    page.get_by_label("Image to pull").fill("127.0.0.1:5000/a-team/an-application-with-a-long-name:2026.11.26-rc1")
    page.get_by_role("button", name="Pull", exact=True).click()
    expect(page.locator("section.job")).to_contain_text("is no public address")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    engine.docker("rmi", "team/app:kept")
