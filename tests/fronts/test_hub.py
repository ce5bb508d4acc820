"""JupyterHub for real: its proxy, two users, with and without jupyter-server-proxy; Notebook 7."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from browser.lab import Notebook, notebook_of
from browser.test_sidebar import Sidebar
from fronts.hub import BUILT, USERS, Hub
from harness import ARTIFACTS, require_or_skip
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

SLOW = 60_000
SCREEN = {"width": 1180, "height": 760}
START = "%load_ext nbray\n%nbray start --cpus 1"


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(no_leaks: None) -> None:
    """Every module here is checked."""


@pytest.fixture(scope="module")
def hub(_nothing_left: None) -> Iterator[Hub]:
    if not (BUILT / "package.json").exists():
        require_or_skip("the sidebar is not built (run `make sidebar`)")
    running = Hub()
    try:
        running.wait_until_up()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def pages(hub: Hub, browser: Browser) -> Iterator[dict[str, Page]]:
    """Each user's browser, logged in, at JupyterLab."""
    opened = {}
    for user in USERS:
        context = browser.new_context(viewport=SCREEN)
        opened[user] = context.new_page()
        hub.enter(opened[user], user)
    yield opened
    for page in opened.values():
        page.context.close()


def open_notebook(hub: Hub, page: Page, user: str, *cells: str) -> Notebook:
    import json

    name = "work.ipynb"
    (hub.home / user / name).write_text(json.dumps(notebook_of(*cells)))
    lab: Any = SimpleNamespace(url=f"{hub.url}/user/{user}", root=hub.home / user, token="")
    return Notebook(page, lab, name, mode="lab")


def screenshot(page: Page, name: str) -> None:
    path: Path = ARTIFACTS / "screens" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(300)
    page.screenshot(path=path)


@pytest.mark.parametrize("user", USERS)
def test_sidebar_and_dashboard_of_each_user(
    hub: Hub, pages: dict[str, Page], user: str
) -> None:
    page = pages[user]
    notebook = open_notebook(hub, page, user, START, "!nbray doctor")
    sidebar = Sidebar(page)
    sidebar.open()
    expect(sidebar.note).to_contain_text("No cluster of yours runs", timeout=SLOW)
    notebook.run(0)
    expect(sidebar.cards).to_have_count(1, timeout=SLOW)
    expect(sidebar.cards.first).to_contain_text("work.ipynb")
    expect(sidebar.cards.locator(".nbray-head b")).to_have_text("1 node", timeout=SLOW)
    screenshot(page, f"hub-{user}")

    for link in (
        notebook.cell(0).get_by_role("link", name="nbray dashboard"),
        sidebar.cards.get_by_role("button", name="Dashboard"),
    ):
        with page.context.expect_page() as opening:
            link.click()
        dashboard = opening.value
        expect(dashboard.locator("#state")).to_have_text("live", timeout=SLOW)
        assert f"/user/{user}/nbray-dashboard/" in dashboard.url
        assert "key" not in dashboard.url
        screenshot(dashboard, f"hub-{user}-dashboard")
        dashboard.close()

    said = notebook.run(1)
    assert "serves nbray's part" in said, said
    assert "Everything is in place." in said, said


def test_the_proxys_entry_is_the_dashboard_too(hub: Hub, pages: dict[str, Page]) -> None:
    """For the one who has jupyter-server-proxy; the other's address is nobody's."""
    for user, status in zip(USERS, (200, 404), strict=True):
        page = pages[user].context.new_page()
        answer = page.goto(f"{hub.url}/user/{user}/nbray/", timeout=SLOW)
        assert answer is not None
        assert answer.status == status
        if status == 200:
            expect(page.locator("#state")).to_have_text("live", timeout=SLOW)
        page.close()


def test_nobody_sees_anothers(hub: Hub, pages: dict[str, Page], browser: Browser) -> None:
    ada, grace = USERS
    for path in ("nbray-dashboard/", "api/nbray/clusters"):
        answer = pages[grace].context.request.get(f"{hub.url}/user/{ada}/{path}")
        assert answer.status in {403, 404}, path
        assert "127.0.0.1:" not in answer.text()
    stranger = browser.new_context()
    answer = stranger.request.get(f"{hub.url}/user/{ada}/nbray-dashboard/")
    assert "/hub/login" in answer.url
    stranger.close()


def test_notebook_7(hub: Hub, pages: dict[str, Page]) -> None:
    """The same server's other front end: the sidebar is found in its menu, and works."""
    ada = USERS[0]
    page = pages[ada].context.new_page()
    page.goto(f"{hub.url}/user/{ada}/notebooks/work.ipynb", timeout=SLOW)
    expect(page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible(timeout=SLOW)
    page.get_by_role("menuitem", name="View", exact=True).click()
    page.get_by_role("menuitem", name="nbray: Show the Clusters").click()
    sidebar = Sidebar(page)
    expect(sidebar.root).to_be_visible(timeout=SLOW)
    expect(sidebar.cards).to_have_count(1, timeout=SLOW)
    screenshot(page, "notebook7-sidebar")
    with page.context.expect_page() as opening:
        sidebar.cards.get_by_role("button", name="Dashboard").click()
    expect(opening.value.locator("#state")).to_have_text("live", timeout=SLOW)
    opening.value.close()
    sidebar.press("+")
    expect(sidebar.cards.locator(".nbray-head b")).to_have_text("2 nodes", timeout=SLOW)
    sidebar.press("Stop")
    sidebar.confirm("Stop")
    expect(sidebar.cards).to_have_count(0, timeout=SLOW)
    page.close()
