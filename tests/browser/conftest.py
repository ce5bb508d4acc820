"""Fixtures of the browser tests: one Chromium for the module, one JupyterLab for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser.lab import Lab, chromium
from harness import ROOT, require_or_skip
from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREEN = {"width": 1180, "height": 980}
PATIENCE = 60_000  # milliseconds; the usual 5,000 are few on a busy machine
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(no_leaks: None) -> None:
    """Every module here is checked."""


@pytest.fixture(scope="module")
def browser(_nothing_left: None) -> Iterator[Browser]:
    path = chromium()
    if not path:
        require_or_skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def labs(mark: str) -> Iterator[list[Lab]]:
    """The JupyterLab that serves the modules which run in this process, once one has asked."""
    started: list[Lab] = []
    yield started
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def lab(browser: Browser, labs: list[Lab]) -> Lab:
    """What a notebook leaves in it, `_nothing_left` finds: kernels and their clusters."""
    if not labs or labs[-1].process.poll() is not None:
        labs.append(Lab(ROOT / "notebooks"))
        labs[-1].wait_until_up()
    return labs[-1]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    yield from _page(browser)


@pytest.fixture(scope="module")
def one_page(browser: Browser) -> Iterator[Page]:
    """A page for all tests of a module: to load JupyterLab takes ten seconds of a CPU."""
    yield from _page(browser)


def _page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport=SCREEN, device_scale_factor=1.5)
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()
