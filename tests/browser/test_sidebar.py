"""The sidebar in JupyterLab: from none to three nodes and back to none, without a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.accessible import violations
from browser.lab import BUILT, Lab, Notebook
from e2e.cli import nbray
from harness import ARTIFACTS, eventually, require_or_skip
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

NAME = "sidebar.ipynb"


def notebook_json(*sources: str) -> str:
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": source, "outputs": [],
         "execution_count": None}
        for n, source in enumerate(sources)
    ]  # fmt: skip
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5})


class Sidebar:
    """What a user does with it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator("#nbray-sidebar")
        self.cards = self.root.locator(".nbray-card")
        self.note = self.root.locator(".nbray-note")
        self.status = page.locator(".nbray-status")

    def open(self) -> None:
        tab = self.page.locator(".jp-SideBar.jp-mod-left [data-id='nbray-sidebar']")
        if not self.root.is_visible():
            tab.click()
        expect(self.root).to_be_visible()

    def press(self, label: str) -> None:
        self.root.locator("button", has_text=re.compile(rf"^{re.escape(label)}$")).first.click()

    def nodes(self, count: int) -> None:
        """Wait until the only cluster shows *count* nodes, in its panel and in the status bar."""
        plural = "s" if count != 1 else ""
        panel = self.cards.locator(".nbray-panel")
        expect(panel.locator(".nbray-head b")).to_have_text(f"{count} node{plural}")
        expect(self.status).to_contain_text(f"{count} node{plural} · ")

    def confirm(self, label: str) -> None:
        self.page.locator(".jp-Dialog-button", has_text=label).click()

    def screenshot(self, name: str) -> Path:
        path = ARTIFACTS / "screens" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.mouse.move(800, 600)
        self.page.wait_for_timeout(600)
        self.page.screenshot(path=path)
        return path


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    if not (BUILT / "package.json").exists():
        require_or_skip("the sidebar is not built (run `make sidebar`)")


SIZE = {"width": 1080, "height": 640}


@pytest.fixture(scope="module")
def jupyterlab(lab: Lab, one_page: Page) -> Iterator[Notebook]:
    """JupyterLab in a page, in which each test opens a notebook."""
    (lab.root / NAME).write_text(notebook_json(""))
    opened = Notebook(one_page, lab, NAME, mode="lab")
    opened.leave()
    yield opened
    opened.close()


@pytest.fixture
def notebook(lab: Lab, jupyterlab: Notebook) -> Iterator[Notebook]:
    """A notebook of one empty cell."""
    jupyterlab.page.set_viewport_size(SIZE)
    (lab.root / NAME).write_text(notebook_json(""))
    jupyterlab.again(NAME)
    yield jupyterlab
    jupyterlab.leave()


@pytest.fixture(autouse=True)
def _no_cluster_left() -> Iterator[None]:
    yield
    nbray("stop")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_from_none_to_three_nodes_and_back(notebook: Notebook, theme: str) -> None:
    notebook.theme(theme == "dark")
    sidebar = Sidebar(notebook.page)
    sidebar.open()
    expect(sidebar.note).to_contain_text("No cluster of yours runs on this machine")
    expect(sidebar.status).to_be_hidden()
    expect(sidebar.root).to_contain_text(f"in the environment of {NAME}")
    sidebar.screenshot(f"sidebar-empty-{theme}")

    sidebar.root.get_by_label("CPUs of the new cluster").fill("2")
    sidebar.press("Start a cluster")
    expect(sidebar.cards).to_have_count(1)
    sidebar.nodes(1)
    expect(sidebar.cards.get_by_role("button", name="−")).to_be_disabled()
    for count in (2, 3):
        sidebar.press("+")
        sidebar.nodes(count)
    expect(sidebar.status).to_have_text("3 nodes · 0 of 4 CPUs busy")

    sidebar.press("Attach")
    expect(notebook.cells.first).to_contain_text("%nbray attach 127.0.0.1:")
    assert "3 nodes, 4 CPUs" in notebook.finished(0), notebook.output(0)
    run = "import nbray\n@nbray.remote\ndef f(x):\n    return x * x\n"
    cell = notebook.append(f"{run}nbray.get([f.remote(i) for i in range(4)])")
    assert "[0, 1, 4, 9]" in notebook.run(cell)
    sidebar.screenshot(f"sidebar-three-{theme}")
    assert violations(notebook.page, "#nbray-sidebar") == []

    for count in (2, 1):
        sidebar.press("−")
        sidebar.nodes(count)
    sidebar.press("Stop")
    cancel = notebook.page.locator(".jp-Dialog-button", has_text="Cancel")
    expect(cancel).to_be_focused()  # Return must not end anything
    sidebar.confirm("Stop")
    expect(sidebar.cards).to_have_count(0)
    expect(sidebar.note).to_contain_text("No cluster of yours runs on this machine")
    expect(sidebar.status).to_be_hidden()
    notebook.theme(dark=False)


def test_at_its_default_width_no_figure_is_cut(notebook: Notebook) -> None:
    """Also when figures are long: every cell that is shown is as wide as what it says."""
    sidebar = Sidebar(notebook.page)
    sidebar.open()
    assert nbray("start", "--head", "--port=0", "--num-cpus=2").returncode == 0
    expect(sidebar.cards.locator("tbody tr")).to_have_count(1)
    cut = """(table, text) => {
        const cells = [...table.querySelectorAll('th, td')].filter(one => one.offsetParent);
        if (text) cells.slice(-2).forEach(one => { one.lastChild.textContent = text; });
        const right = table.closest('.nbray-panel').getBoundingClientRect().right;
        return cells.filter(one => {
            const range = document.createRange();
            range.selectNodeContents(one);
            return range.getBoundingClientRect().right > right - 3;
        }).map(one => one.textContent);
    }"""
    table = sidebar.cards.locator("table").first
    for text in ("", "100%"):
        assert table.evaluate(cut, text) == []
    sidebar.screenshot("sidebar-default-width")


def test_a_notebooks_own_cluster_is_listed_by_its_name(notebook: Notebook) -> None:
    """Started by `%nbray start`, announced nowhere; one of a terminal beside it."""
    sidebar = Sidebar(notebook.page)
    sidebar.open()
    first = notebook.cells.first.locator(".cm-content")
    first.click()
    notebook.page.keyboard.insert_text("%load_ext nbray\n%nbray start --cpus 1")
    notebook.run(0)
    expect(sidebar.cards).to_have_count(1)
    expect(sidebar.cards.first).to_contain_text(NAME)
    assert nbray("start", "--head", "--port=0", "--num-cpus=2").returncode == 0
    expect(sidebar.cards).to_have_count(2)
    expect(sidebar.status).to_have_text("2 clusters · 0 of 3 CPUs busy")
    sidebar.screenshot("sidebar-two-clusters")
    for wide in (1080, 540):  # as at 200 %, too
        notebook.page.set_viewport_size({"width": wide, "height": 640})
        start = sidebar.root.get_by_role("button", name="Start a cluster")
        assert start.evaluate("one => one.scrollHeight <= one.clientHeight + 2"), "clipped"
        assert sidebar.root.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert nbray("stop").returncode == 0
    expect(sidebar.cards).to_have_count(0)


def test_the_palette_starts_and_dragging_inserts(lab: Lab, page: Page) -> None:
    page.set_viewport_size(SIZE)
    (lab.root / NAME).write_text(notebook_json(""))
    notebook, sidebar = Notebook(page, lab, NAME, mode="lab"), Sidebar(page)
    page.keyboard.press("Control+Shift+KeyC")
    page.locator(".lm-CommandPalette-input").fill("nbray start a cluster")
    item = page.locator(".lm-CommandPalette-item.lm-mod-active[data-command='nbray:start']")
    expect(item).to_be_visible()
    page.keyboard.press("Enter")
    expect(sidebar.status).to_contain_text("1 node · ")
    sidebar.status.click()
    expect(sidebar.cards).to_have_count(1)

    source = sidebar.cards.locator(".nbray-card-head").bounding_box()
    target = page.locator(".jp-Notebook .jp-Cell").first.bounding_box()
    assert source is not None
    assert target is not None
    page.mouse.move(source["x"] + 20, source["y"] + 8)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(
            source["x"] + 20 + (target["x"] + 200 - source["x"]) * step / 8,
            source["y"] + 8 + (target["y"] + 6 - source["y"] - 8) * step / 8,
        )
    page.mouse.up()
    expect(notebook.cells).to_have_count(2)
    dropped = notebook.cells.filter(has_text="%nbray attach 127.0.0.1:")
    expect(dropped).to_have_count(1)

    sidebar.press("Insert")
    expect(notebook.cells.filter(has_text="%nbray attach 127.0.0.1:")).to_have_count(2)
    notebook.close()


def test_without_the_servers_part_it_says_what_to_do(lab: Lab, page: Page) -> None:
    page.set_viewport_size(SIZE)
    page.route("**/api/nbray/clusters*", lambda route: route.fulfill(status=404, body="none"))
    page.route_web_socket("**/api/nbray/events*", lambda socket: socket.close())
    page.goto(f"{lab.url}/lab?token={lab.token}&reset", wait_until="commit")
    sidebar = Sidebar(page)
    page.locator(".jp-SideBar.jp-mod-left [data-id='nbray-sidebar']").wait_for(timeout=60_000)
    sidebar.open()
    expect(sidebar.note).to_contain_text("run `nbray doctor`")
    expect(sidebar.root.locator("button", has_text="Start a cluster")).to_be_disabled()
    sidebar.screenshot("sidebar-no-server")
    page.unroute_all()


def test_the_join_line_is_copied(notebook: Notebook) -> None:
    page, sidebar = notebook.page, Sidebar(notebook.page)
    sidebar.open()
    sidebar.root.get_by_label("CPUs of the new cluster").fill("1")
    sidebar.press("Start a cluster")
    expect(sidebar.cards).to_have_count(1)

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sidebar.press("Join line")
    expect(page.locator(".Toastify__toast")).to_contain_text(
        "holds the cluster's secret"
    )
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"printf %s \S+ \| nbray start --address=\S+ --secret-file=-", copied)


def test_a_saved_panel_shows_its_last_state_once_its_kernel_is_gone(
    lab: Lab, notebook: Notebook
) -> None:
    notebook.run(notebook.append("%load_ext nbray\n%nbray start --cpus 1"))
    panel = notebook.append("nbray.panel()")
    notebook.run(panel)
    notebook.page.keyboard.press("Escape")
    notebook.page.keyboard.press("Control+s")
    saved = lab.root / NAME
    assert eventually(lambda: "widget-view" in saved.read_text())
    shown = notebook.cell(panel)
    expect(shown.get_by_role("button", name="Join line")).to_be_visible()
    notebook.restart()
    expect(shown.locator(".jp-OutputArea-output button")).to_have_count(0)
    expect(shown.locator(".nbray-panel table")).to_be_visible()
    expect(shown.locator(".nbray-head")).to_contain_text("as last seen")
    expect(notebook.page.locator(".jupyter-widgets-disconnected")).to_have_count(0)
    notebook.screenshot("panel-restarted", panel)
    notebook.leave()
    again = Notebook(notebook.page, lab, NAME, mode="lab")
    shown = again.cell(panel)
    expect(shown.locator(".nbray-panel table")).to_be_visible()
    expect(shown).not_to_contain_text("Error displaying widget")
    again.screenshot("panel-reopened", panel)
