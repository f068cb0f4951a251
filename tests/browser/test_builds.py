"""Builds in the page: written, checked while one types, built, run, and opened."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.processes import wait_until

LONG = 60_000
SHELL_FORM = """FROM busybox
RUN mkdir /www && echo ahoy > /www/index.html
EXPOSE 80
CMD httpd -f -p 80 -h /www
"""
STAGES = """FROM busybox AS left
RUN echo port > /side
FROM busybox AS right
RUN echo starboard > /side
FROM busybox
COPY --from=left /side /left
COPY --from=right /side /right
COPY greeting.txt /
RUN cat /left /right /greeting.txt && exit 3
"""


def _write(page: Page, text: str) -> None:
    """Into the editor, in place of what it began with."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def test_a_dockerfile_is_written_checked_built_and_run(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    sign_in("olga")
    page.goto("/e/local/builds/")
    page.get_by_role("link", name="New build").first.click()
    _write(page, SHELL_FORM)
    mark = page.locator(".editor .lint li", has_text="JSONArgsRecommended")
    expect(mark.locator(".lint-line")).to_have_text("4")
    expect(page.locator(".cm-lint-marker-warning")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("harbour:1")
    page.get_by_role("button", name="Build").click()

    head = page.locator("#build-head")
    expect(head).to_have_attribute("data-state", "succeeded", timeout=LONG)
    expect(head).to_contain_text("harbour:1")
    steps = page.locator(".build-step")
    expect(steps).to_have_count(4)
    expect(steps.nth(1)).to_have_attribute("data-state", "done")
    expect(page.locator(".build .lint")).to_contain_text("JSONArgsRecommended")
    expect(head.locator(".build-image h3")).to_contain_text("in 2 layers")
    made = head.locator(".image-layers li", has_text="RUN mkdir /www")
    expect(made.locator(".layer-amount")).to_have_text("5 B")

    head.get_by_role("link", name="Run").click()
    expect(page.get_by_role("textbox", name="Image")).to_have_value("harbour:1")
    page.locator("#id_name").fill("harbour")
    page.get_by_role("button", name="Create and start").click()
    expect(page.locator("#object-head .state")).to_have_text("running")
    fetch = ("exec", "harbour", "wget", "-qO-", "http://127.0.0.1/")
    wait_until(lambda: engine.docker(*fetch, check=False).stdout == "ahoy\n", what="the web server to answer")


def test_a_build_that_fails_says_where(page: Page, sign_in: Callable[[str], Page]) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as folder:
        folder.writestr("folder/greeting.txt", "hello from the zip\n")
    sign_in("olga")
    page.goto("/e/local/builds/new/")
    _write(page, STAGES)
    page.get_by_role("radio", name="An archive").check()
    page.get_by_label("Archive", exact=True).set_input_files(
        {"name": "folder.zip", "mimeType": "application/zip", "buffer": archive.getvalue()}
    )
    page.get_by_role("button", name="Build").click()

    head = page.locator("#build-head")
    expect(head).to_have_attribute("data-state", "failed", timeout=LONG)
    expect(head.get_by_role("alert")).to_contain_text("returned a non-zero code: 3")
    failed = page.locator('.build-step[data-state="failed"]')
    expect(failed.locator(".step-log")).to_contain_text("hello from the zip")
    expect(page.locator(".stage-box")).to_have_count(3)
    expect(page.locator(".stage-line")).to_have_count(2)
    head.get_by_role("link", name="Edit").click()
    expect(page.locator(".cm-content")).to_contain_text(re.compile("starboard"))


SECRETS = """FROM busybox
RUN --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=npmrc echo "${#TOKEN} $(wc -l < /run/secrets/npmrc)"
"""


def test_secrets_are_given_and_not_shown(page: Page, sign_in: Callable[[str], Page]) -> None:
    sign_in("olga")
    page.goto("/e/local/builds/new/")
    _write(page, SECRETS)
    page.get_by_text("Secrets", exact=True).click()
    rows = page.locator('[data-rows-target="row"]:visible')
    page.get_by_role("button", name="Add a secret").click()
    for row, (name, value) in zip(rows.all(), {"token": "12345", "npmrc": "one\ntwo\n"}.items(), strict=True):
        row.get_by_label("Id").fill(name)
        row.get_by_label("Value").fill(value)
    page.get_by_role("button", name="Build", exact=True).click()
    expect(page.locator("#build-head")).to_have_attribute("data-state", "succeeded", timeout=LONG)
    page.locator(".build-step").nth(1).click()
    expect(page.locator(".build-step .step-log").nth(1)).to_contain_text("5 2")
    assert "12345" not in page.content()
    page.get_by_role("link", name="Edit").click()
    expect(rows).to_have_count(3)
    expect(rows.nth(0).get_by_label("Id")).to_have_value("npmrc")
    expect(rows.nth(0).get_by_label("Value")).to_have_value("")
