"""Making, copying and replacing containers by their form, and a session that ends meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import SignIn
from tests.fixtures.daemons import HavreDaemon


def test_the_form_by_keyboard_alone(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    engine.docker("pull", "-q", "busybox")
    sign_in("olga")
    page.goto("/e/local/containers/new/?image=busybox")
    page.locator("#id_name").fill("-wrong")
    page.get_by_role("textbox", name="Command").press_sequentially("sleep 600")
    # Leaving the field was enough for the server to look at it.
    expect(page.locator("#panel-command .field-error")).to_contain_text("two letters")
    tab = page.get_by_role("tab", selected=True)
    expect(tab).to_contain_text("Image and command1")
    tab.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", selected=True)).to_contain_text("Resources")
    page.get_by_label("Memory", exact=True).fill("64m")
    page.get_by_text("As a docker command").click()
    expect(page.locator("[data-preview-target=place]")).to_contain_text("not right yet")

    page.get_by_role("button", name="Create and start").click()
    expect(page.locator(".message-error")).to_contain_text("One thing is not right yet")
    expect(page.locator("#id_name")).to_be_focused()
    expect(page.get_by_role("textbox", name="Command")).to_have_value("sleep 600")
    page.locator("#id_name").fill("by-hand")
    page.get_by_text("As a docker command").click()
    expect(page.locator("[data-preview-target=place]")).to_contain_text("--memory 64m")
    page.get_by_role("button", name="Create and start").click()
    expect(page.locator("#object-head .state")).to_have_text("running")
    assert engine.docker("inspect", "-f", "{{.HostConfig.Memory}}", "by-hand").stdout == f"{64 << 20}\n"


def test_a_field_that_is_being_filled_in_is_not_called_wrong(page: Page, sign_in: SignIn) -> None:
    """The answer to what was there before comes late."""
    sign_in("olga")
    page.goto("/e/local/containers/new/?image=busybox#panel-network")
    port, target = page.locator("[name=ports-0-host_port]"), page.locator("[name=ports-0-container_port]")
    held: list[Route] = []
    page.route("**/new/check/", lambda route: held.append(route))
    target.fill("1")
    target.fill("")
    port.fill("8080")
    target.fill("80")
    *_, last = held
    with page.expect_response("**/new/check/"):
        last.continue_()
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 100))")
    expect(page.locator(".field-error")).to_have_count(0)
    page.unroute("**/new/check/")
    target.fill("")
    port.focus()
    expect(page.locator(".field-error")).to_contain_text("Which port of the container")


def test_a_session_that_ends_takes_nothing_away(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    engine.docker("pull", "-q", "busybox")
    sign_in("olga")
    page.goto("/e/local/containers/new/?image=busybox")
    page.locator("#id_name").fill("patient")
    page.context.clear_cookies()
    page.get_by_role("button", name="Create only").click()
    expect(page.locator(".session-ended")).to_contain_text("nothing here is lost")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in").click()
    sign_in("olga", on=opened.value)
    expect(page.locator("#id_name")).to_have_value("patient")
    page.get_by_role("button", name="Create only").click()
    expect(page.locator("#object-head")).to_contain_text("patient")


def test_a_container_is_replaced_and_copied(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    before = engine.docker("run", "-d", "--init", "--name", "web", "-p", "8133:80", "busybox", "sleep", "600")
    sign_in("olga")
    page.goto("/e/local/containers/web/")
    page.locator("#object-head summary").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("tab", name="Labels").click()
    page.get_by_label("Name", exact=True).locator("visible=true").fill("app")
    page.get_by_role("button", name="Replace web").click()
    expect(page.get_by_role("dialog")).to_contain_text("the old one comes back")
    page.get_by_role("dialog").get_by_role("button", name="Replace").click()
    expect(page.locator(".message-success")).to_contain_text("new settings")
    expect(page.locator("#object-head .state")).to_have_text("running")
    after = engine.docker("inspect", "-f", "{{.Id}} {{json .Config.Labels}}", "web").stdout
    assert '{"app":""}' in after
    assert before.stdout.strip() not in after
    page.locator("#object-head summary").click()
    page.get_by_role("link", name="Another like this").click()
    page.get_by_role("button", name="Create and start").click()
    expect(page).to_have_url(re.compile(r"/containers/[0-9a-f]{12}/$"))
    expect(page.locator("#object-head h1")).not_to_have_text("web")
    assert len(engine.docker("ps", "-q").stdout.split()) == 2


def test_files_go_in_and_out(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "mkdir '/<i>in'; sleep 600")
    sign_in("olga")
    page.goto("/e/local/containers/box/files/")
    row = page.get_by_role("row").filter(has_text="<i>in")
    expect(row).to_contain_text("new")
    row.get_by_role("link", name="<i>in", exact=True).click()
    expect(page.get_by_text("Nothing in here")).to_be_visible()
    page.set_input_files("input[type=file]", [{"name": "a & b.txt", "mimeType": "text/plain", "buffer": b"hello"}])
    page.get_by_role("link", name="a & b.txt", exact=True).click()
    expect(page.locator("pre")).to_have_text("hello")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "a & b.txt"
    assert download.value.path().read_bytes() == b"hello"
    assert engine.docker("exec", "box", "cat", "/<i>in/a & b.txt").stdout == "hello"


def test_the_list_keeps_a_choice_and_tells_what_failed(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    for name in ("one", "two"):
        engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "while :; do :; done")
    sign_in("olga")
    page.goto("/e/local/containers/")
    row = page.get_by_role("row").filter(has_text="one")
    expect(row.locator("[data-gauge=cpu]")).to_have_text(re.compile(r"^\d+(\.\d)? %$"), timeout=30_000)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-selection-target=count]")).to_have_text("2 chosen")
    # A new one brings the whole list anew, and the choice is still there.
    engine.docker("create", "--name", "three", "busybox")
    expect(page.get_by_role("row").filter(has_text="three")).to_be_visible()
    expect(page.locator("[data-selection-target=count]")).to_have_text("2 chosen")
    engine.docker("pause", "one")
    expect(row).to_contain_text("paused")
    page.get_by_role("toolbar").get_by_role("button", name="Pause").click()
    expect(page.locator("#messages")).to_contain_text("1 of 2 failed")
    expect(page.locator("#messages")).to_contain_text("one:")
    page.get_by_role("button", name="Clean up").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("three")
    dialog.get_by_role("button", name="Remove 1 container").click()
    expect(page.get_by_role("row").filter(has_text="three")).to_have_count(0)


def test_anything_is_found_by_name_and_opened_by_keyboard(page: Page, sign_in: SignIn, engine: HavreDaemon) -> None:
    engine.docker("pull", "-q", "busybox")
    for name in ("shop-web", "shop-db"):
        engine.docker("create", "--name", name, "--label", "com.docker.compose.project=shop", "busybox", "true")
    engine.docker("create", "--name", "other", "busybox", "true")
    sign_in("olga")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Find anything")
    expect(field).to_be_focused()
    page.keyboard.type("shop")
    lines = page.locator("#found").get_by_role("option")
    expect(lines).to_have_count(2)
    page.keyboard.press("ArrowDown")
    expect(lines.nth(1)).to_have_attribute("aria-selected", "true")
    # Nobody waits for the lines before Enter: what was typed is what is opened.
    field.fill("shop-db logs")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/logs/$"))
    expect(page.locator("#object-head")).to_contain_text("shop-db")
    # What compose made together has its filter above the list.
    page.get_by_role("link", name="Containers", exact=True).first.click()
    page.get_by_role("navigation", name="Projects").get_by_role("link", name="shop").click()
    expect(page.locator("tr[data-id]")).to_have_count(2)
    page.get_by_role("navigation", name="Projects").get_by_role("link", name="shop").click()
    expect(page.locator("tr[data-id]")).to_have_count(3)


def test_every_page_of_a_container_fits_a_phone(
    new_context: Callable[..., object], sign_in: SignIn, engine: HavreDaemon
) -> None:
    engine.docker("pull", "-q", "busybox")
    engine.docker("run", "-d", "--name", "pocket", "busybox", "sleep", "600")
    phone = new_context(viewport={"width": 360, "height": 740}, color_scheme="dark", has_touch=True).new_page()  # type: ignore[attr-defined]
    sign_in("olga", on=phone)
    for path in ("new/?image=busybox", "pocket/edit/", "pocket/files/", "pocket/logs/", "pocket/terminal/"):
        phone.on("dialog", lambda dialog: dialog.accept())
        phone.goto(f"/e/local/containers/{path}")
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360, path
    phone.goto("/e/local/containers/new/")
    tops = [phone.locator(".form-foot .btn").nth(number).bounding_box() for number in range(3)]
    assert len({box["y"] for box in tops if box}) == 1, "the buttons of the form stand side by side"
