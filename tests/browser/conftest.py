"""A whole Havre and a real browser: engine, Redis, web and worker as processes, and the system's Chromium.

    def test_something(page, sign_in):
        sign_in("olga")
        page.get_by_role("link", name="Containers").click()

When a test fails, a screenshot and the page's text go to `.cache/browser/`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, expect, sync_playwright

from tests.conftest import running
from tests.fixtures.daemons import PROJECT, HavreDaemon
from tests.fixtures.stack import PASSWORD, WebStack

ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES: Final = PROJECT / ".cache/browser"
SignIn = Callable[..., Page]
"""The fixture `sign_in`: `sign_in("olga")`, `sign_in("olga", on=page)`."""

PATIENCE: Final = 15_000
"""Milliseconds that an expectation waits; the machine may be busy."""


@pytest.fixture(scope="session")
def engine(image_cache: Path) -> Iterator[HavreDaemon]:
    """The engine that the pages drive; `engine.docker(…)` looks behind them."""
    with running(HavreDaemon, image_cache) as daemon:
        assert isinstance(daemon, HavreDaemon)
        yield daemon


@pytest.fixture(scope="session")
def stack(engine: HavreDaemon) -> Iterator[WebStack]:
    with WebStack(engine) as stack:
        yield stack


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    # The system's browser; where there is none (Ubuntu packages only a snap), the one that Playwright installed.
    path = shutil.which("chromium")
    browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def new_context(browser: Browser, stack: WebStack) -> Iterator[Callable[..., BrowserContext]]:
    """Makes contexts: `new_context(viewport=…, color_scheme="dark")`; each is another person at another desk."""
    contexts: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        settings = {"base_url": stack.url, "viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
        context = browser.new_context(**{**settings, **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        return context

    expect.set_options(timeout=PATIENCE)
    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_context: Callable[..., BrowserContext], request: pytest.FixtureRequest, stack: WebStack) -> Iterator[Page]:
    """A page of a fresh browser. Afterwards: no script may have failed, and nothing may have offended the CSP."""
    page = new_context().new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"script error: {error}"))
    page.on(
        "console",
        lambda message: (
            complaints.append(f"console: {message.text}") if "Content Security Policy" in message.text else None
        ),
    )
    yield page
    if request.node.stash.get(FAILED, False):
        _keep_picture(page, request.node.name)
        print(stack.logs())
    else:
        assert not complaints


@pytest.fixture
def sign_in(page: Page, stack: WebStack) -> Callable[[str], Page]:
    """Signs a person in by the form; the page is the dashboard then."""

    def act(name: str, on: Page | None = None) -> Page:
        target = on or page
        target.goto("/accounts/login/")
        target.locator("input[name=login]").fill(name)
        target.locator("input[name=password]").fill(PASSWORD)
        target.locator("form button[type=submit]").first.click()
        target.wait_for_url(lambda url: "/accounts/login" not in url)
        return target

    return act


@pytest.fixture(autouse=True)
def _no_containers_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "stack" in request.fixturenames:
        request.getfixturevalue("engine").remove_everything()


FAILED: Final = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


def _keep_picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    place = PICTURES / f"{time.strftime('%H%M%S')}-{''.join(c if c.isalnum() else '-' for c in name)}"
    try:
        page.screenshot(path=place.with_suffix(".png"), full_page=True)
        place.with_suffix(".html").write_text(page.content())
    except Error as error:
        print(f"no picture of {page.url}: {error}")
    else:
        print(f"picture of {page.url}: {place}.png")
