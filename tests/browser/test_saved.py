"""A saved notebook that nobody trusts, as a web page with scripts off: the evidence is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ARTIFACTS, private_folder
from headless import CELLS, STOP, executed, written
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = pytest.mark.browser
THEMES = ["light", "dark"]
TIMELINE = "nbray.timeline(2)"


@pytest.fixture(scope="module")
def html() -> Iterator[Path]:
    """The pages that nbconvert makes of a notebook run without a browser."""
    folder = private_folder("nbt-saved-")
    cells = (*CELLS, TIMELINE, STOP)
    notebook = executed(written(folder / "saved.ipynb", *cells), widgets=False)
    for theme in THEMES:
        page, _ = HTMLExporter(theme=theme).from_notebook_node(notebook)
        (folder / f"{theme}.html").write_text(page, encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=THEMES)
def saved(html: Path, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page in a browser that runs no script and reaches no network."""
    context = browser.new_context(
        java_script_enabled=False, offline=True, color_scheme=request.param,
        viewport={"width": 1000, "height": 1500},
    )  # fmt: skip
    page = context.new_page()
    page.goto((html / f"{request.param}.html").as_uri(), wait_until="commit")
    yield page
    path = ARTIFACTS / "screens" / f"saved-{request.param}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
    context.close()


def width(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["width"]


def test_bars_panel_receipt_timeline_and_logs_are_seen_without_scripts(saved: Page) -> None:
    bars = saved.locator(".nbray").filter(has_text="40 of 40").last
    expect(bars).to_be_visible()
    track = bars.locator(".nbray-bar").first
    filled = track.locator(".nbray-done").first
    assert width(track) > 100
    assert width(filled) > 0.95 * width(track)
    panel = saved.locator(".nbray-panel table").last
    expect(panel).to_be_visible()
    expect(panel).to_contain_text("head")
    for text in ("halving 32", "hello from two", "nbray is running: 1 node"):
        expect(saved.get_by_text(text).first).to_be_visible()
    receipt = saved.locator(".nbray-receipt", has_text="Receipt · 40 tasks on 1 node")
    summary, body = receipt.locator("summary"), receipt.locator(".nbray-why").first
    expect(summary).to_be_visible()
    expect(body).to_be_hidden()
    summary.click()  # a folded line opens without scripts
    expect(body).to_be_visible()
    picture = saved.locator(".nbray-timeline svg")
    expect(picture).to_be_visible()
    assert (picture.get_attribute("aria-label") or "").startswith("Timeline: 40 tasks on ")
    assert width(picture) > 300
    assert saved.locator(".nbray script").count() == 0
