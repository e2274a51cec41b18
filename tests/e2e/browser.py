"""A real browser: the chromium or Chrome of this machine, led by Playwright."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.servers.process import find_program

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

_PATIENCE: Final = 300_000.0
"""Milliseconds that a page may take: a busy machine is no failure."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run a browser. Raises ServerMissing when this machine has none."""
    program = find_program(*_NAMES)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_QUIET))
        yield browser
        browser.close()


@contextmanager
def open_page(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Open a page in a session of its own; it fails when the page broke a rule or its script did.

    The service sends a strict policy with each page; the browser complains of what it forbids.
    """
    context = browser.new_context(base_url=url, locale="en-GB", timezone_id="UTC", **options)
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    wrong: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: _judge(message, wrong))
    yield page
    _close(context)
    assert wrong == []


def _judge(message: ConsoleMessage, wrong: list[str]) -> None:
    # That a request was refused is what some tests are about.
    if message.type == "error" and "Failed to load resource" not in message.text:
        wrong.append(message.text)


def _close(context: BrowserContext) -> None:
    context.unroute_all(behavior="ignoreErrors")
    context.close()
