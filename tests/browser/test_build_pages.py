"""The build pages, all of what one can do there: completion, fixes, contexts, cancel and retry, a phone in the dark."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.processes import Process, wait_until
from tests.fixtures.tars import tar_of

LONG = 60_000


def write(page: Page, text: str) -> None:
    """Into the editor, in place of what it began with."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def test_the_editor_completes_and_mends(page: Page, sign_in: Callable[[str], Page]) -> None:
    sign_in("olga")
    page.goto("/e/local/builds/new/")
    write(page, "FROM busybox AS tools\nARG VERSION=1\nFROM busybox\n")
    offered = page.locator(".cm-tooltip-autocomplete li")
    for typed, choice, text in (
        ("HEAL", "HEALTHCHECK", "HEALTHCHECK "),
        ("COPY --fr", "--from=", "COPY --from="),
        ("COPY --from=to", "tools", "COPY --from=tools"),
        ("ENV A=${VER", "VERSION", "ENV A=${VERSION"),
    ):
        page.keyboard.type(typed)
        expect(offered.first).to_contain_text(choice)
        page.wait_for_timeout(100)  # the editor takes no choice in the first moments, which may be an accident
        page.keyboard.press("Enter")
        line = page.locator(".cm-line").last
        expect(line).to_contain_text(text.strip())
        page.keyboard.press("Shift+Home")
        page.keyboard.press("Delete")
    page.keyboard.type("RUNN true")
    wrong = page.locator(".editor .lint .lint-error")
    expect(wrong).to_contain_text("did you mean RUN?")
    expect(page.locator(".cm-lint-marker-error")).to_be_visible()
    write(page, "FROM busybox as tools\nCMD echo hi")
    page.locator(".editor .lint").get_by_role("button", name='Write CMD ["echo", "hi"]').click()
    expect(page.locator(".cm-content")).to_contain_text('CMD ["echo", "hi"]')
    expect(page.locator(".editor .lint li")).to_have_count(1)
    expect(page.locator(".editor .lint li")).to_contain_text("FromAsCasing")


DROP = """([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "application/x-tar" }));
  return transfer;
}"""


def test_an_archive_is_dropped_on_the_page(page: Page, sign_in: Callable[[str], Page]) -> None:
    files = {"folder/Dockerfile": "FROM busybox\nCOPY f /\nRUN cat /f\n", "folder/f": "dropped here\n"}
    sign_in("olga")
    page.goto("/e/local/builds/new/")
    page.get_by_role("radio", name="An archive").check()
    transfer = page.evaluate_handle(DROP, [base64.b64encode(tar_of(files, mode="w:gz")).decode(), "folder.tar.gz"])
    page.locator(".drop").dispatch_event("dragover", {"dataTransfer": transfer})
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": transfer})
    expect(page.locator(".drop")).to_contain_text("folder.tar.gz")
    page.get_by_label("Use the archive's own Dockerfile").check()
    page.get_by_role("button", name="Build", exact=True).click()
    expect(page.locator("#build-head")).to_have_attribute("data-state", "succeeded", timeout=LONG)
    page.locator(".build-step").nth(2).click()
    expect(page.locator(".build-step .step-log").nth(2)).to_contain_text("dropped here")


def test_a_repository_is_the_context(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon, tmp_path: Path
) -> None:
    work, served = tmp_path / "work", tmp_path / "served"

    def git(*arguments: str) -> None:
        names = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *names, *arguments], check=True, capture_output=True)

    git("init", "--quiet", str(work))
    (work / "docker").mkdir()
    (work / "docker/Dockerfile").write_text("FROM busybox\nRUN echo out of git\n")
    git("-C", str(work), "add", ".")
    git("-C", str(work), "commit", "--quiet", "--message=one")
    git("clone", "--quiet", "--bare", str(work), str(served / "app.git"))
    git("-C", str(served / "app.git"), "update-server-info")
    command = [sys.executable, "-m", "http.server", "5301", "--bind", "127.0.0.1", "--directory", str(served)]
    with Process([*engine.namespace.prefix, *command], log=tmp_path / "log") as process:
        ask = ("curl", "-s", "-o", "/dev/null", "http://127.0.0.1:5301/")
        wait_until(lambda: not engine.namespace.run(*ask, check=False).returncode, what="git", process=process)
        sign_in("ada")  # an operator's builds reach public addresses alone
        page.goto("/e/local/builds/new/")
        page.get_by_role("radio", name="Git").check()
        expect(page.locator(".cm-content")).to_be_hidden()
        page.get_by_label("Address").fill("http://127.0.0.1:5301/app.git#main:docker")
        page.get_by_role("button", name="Build", exact=True).click()
        expect(page.locator("#build-head")).to_have_attribute("data-state", "succeeded", timeout=LONG)
    page.locator(".build-step").nth(1).click()
    expect(page.locator(".build-step .step-log").nth(1)).to_contain_text("out of git")


def test_a_build_is_watched_cancelled_and_tried_again(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    sign_in("olga")
    page.goto("/e/local/builds/new/")
    write(page, "FROM busybox AS one\nRUN echo live; sleep 606\nFROM busybox\nCOPY --from=one /bin /x\n")
    page.get_by_role("button", name="Build", exact=True).click()
    head, place = page.locator("#build-head"), engine.directory / "run/builds"
    for attempt in range(2):
        running = page.locator('.build-step[data-state="running"]', has_text="sleep 606")
        expect(running.locator(".step-log")).to_contain_text("live", timeout=LONG)
        waits = page.locator(".build-step", has_text="COPY --from=one")
        expect(waits).to_have_attribute("data-state", "waiting")
        head.get_by_role("button", name="Cancel").click()
        expect(head).to_have_attribute("data-state", "cancelled", timeout=LONG)
        wait_until(lambda: not any(place.iterdir()), what="the step to be taken away")
        again = head.get_by_role("button", name="Try again")
        expect(again).to_be_visible()
        if attempt == 0:
            again.click()
            expect(head).to_have_attribute("data-state", "running")


def test_a_phone_in_the_dark(new_context: Callable[..., BrowserContext], sign_in: Callable[..., Page]) -> None:
    page = new_context(viewport={"width": 360, "height": 740}, color_scheme="dark", has_touch=True).new_page()
    sign_in("olga", on=page)
    for address in ("/e/local/builds/", "/e/local/builds/new/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    write(page, f"FROM busybox\nRUN echo {'long-' * 60}\nCMD echo {'far-' * 20}\n")
    expect(page.locator(".editor .lint")).to_contain_text("JSONArgsRecommended")
    mend = page.locator(".editor .lint").get_by_role("button", name="Write CMD")
    box, outer = mend.bounding_box(), page.locator(".editor").bounding_box()
    assert box is not None
    assert outer is not None
    assert outer["x"] <= box["x"]
    assert box["x"] + box["width"] <= outer["x"] + outer["width"]
    page.get_by_role("button", name="Build", exact=True).click()
    expect(page.locator("#build-head")).to_have_attribute("data-state", "succeeded", timeout=LONG)
    page.locator(".build-step").nth(1).click()
    expect(page.locator(".build-step .step-log").nth(1)).to_contain_text("long-long-")
    expect(page.locator(".build-image h3")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


COURSE = """FROM debian
RUN apt update && apt install -y nginx
COPY index.html /var/www/html/
EXPOSE 80
CMD nginx -g 'daemon off;'
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_courses_web_server_is_written_built_run_and_opened(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    """With real packages: it needs a mirror of Debian."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as folder:
        page_file = zipfile.ZipInfo("index.html")
        page_file.external_attr = 0o644 << 16  # the module's own default is for nobody but root
        folder.writestr(page_file, "Yet another hello world\n")
    sign_in("olga")
    page.goto("/e/local/builds/new/")
    write(page, COURSE)
    mark = page.locator(".editor .lint li", has_text="JSONArgsRecommended")
    expect(mark.locator(".lint-line")).to_have_text("5")
    page.get_by_role("radio", name="An archive").check()
    page.get_by_label("Archive", exact=True).set_input_files(
        {"name": "site.zip", "mimeType": "application/zip", "buffer": archive.getvalue()}
    )
    page.get_by_label("Name", exact=True).fill("first-image:v01")
    head = page.locator("#build-head")
    with engine.namespace.way_out():
        page.get_by_role("button", name="Build", exact=True).click()
        expect(head).to_have_attribute("data-state", "succeeded", timeout=600_000)
    expect(page.locator(".build-step .step-log").nth(1)).to_contain_text("Setting up nginx")
    expect(head.locator(".image-layers li", has_text="apt install -y nginx")).to_contain_text("MB")

    head.get_by_role("link", name="Run").click()
    page.locator("#id_name").fill("site")
    page.get_by_role("tab", name="Ports and networks").click()
    page.get_by_role("button", name="Add a port").click()
    row = page.locator('[data-rows-target="row"]:visible').last
    row.get_by_label("Host port").fill("8080")
    row.get_by_label("Container port").fill("80")
    row.get_by_label("Host address").fill(engine.namespace.inside)
    page.get_by_role("button", name="Create and start").click()
    expect(page.locator("#object-head .state")).to_have_text("running")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="8080").first.click()
    expect(opened.value.locator("body")).to_have_text("Yet another hello world")
