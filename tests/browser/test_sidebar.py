"""The sidebar in JupyterLab: from none to three nodes and back to none, without a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.lab import BUILT, Lab, Notebook
from harness import ARTIFACTS, require_or_skip
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SLOW = 30_000
NAME = "sidebar.ipynb"


def notebook_json(*sources: str) -> str:
    import json

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
        expect(panel.locator(".nbray-head b")).to_have_text(f"{count} node{plural}", timeout=SLOW)
        expect(self.status).to_contain_text(f"{count} node{plural} · ", timeout=SLOW)

    def confirm(self, label: str) -> None:
        self.page.locator(".jp-Dialog-button", has_text=label).click()

    def screenshot(self, name: str) -> Path:
        path = ARTIFACTS / "screens" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.mouse.move(800, 600)
        self.page.wait_for_timeout(300)
        self.page.screenshot(path=path)
        return path


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    if not (BUILT / "package.json").exists():
        require_or_skip("the sidebar is not built (run `make sidebar`)")


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest, lab: Lab) -> Iterator[str]:
    name = "JupyterLab Dark" if request.param == "dark" else "JupyterLab Light"
    lab.setting("apputils-extension/themes", {"theme": name})
    yield request.param
    lab.setting("apputils-extension/themes", {})


@pytest.fixture
def notebook(lab: Lab, page: Page, theme: str) -> Iterator[Notebook]:
    (lab.root / NAME).write_text(notebook_json(""))
    page.goto(f"{lab.url}/lab/tree/{NAME}?token={lab.token}&reset", wait_until="commit")
    opened = Notebook.__new__(Notebook)
    opened.page = page
    opened.cells = page.locator(".jp-Notebook .jp-CodeCell")
    expect(opened.cells).to_have_count(1, timeout=60_000)
    opened.idle()
    yield opened
    opened.close()


def test_from_none_to_three_nodes_and_back(notebook: Notebook, theme: str) -> None:
    sidebar = Sidebar(notebook.page)
    sidebar.open()
    expect(sidebar.note).to_contain_text("No cluster of yours runs on this machine", timeout=SLOW)
    expect(sidebar.status).to_be_hidden()
    expect(sidebar.root).to_contain_text(f"in the environment of {NAME}")
    sidebar.screenshot(f"sidebar-empty-{theme}")

    sidebar.root.get_by_label("CPUs of the new cluster").fill("2")
    sidebar.press("Start a cluster")
    expect(sidebar.cards).to_have_count(1, timeout=SLOW)
    sidebar.nodes(1)
    expect(sidebar.cards.get_by_role("button", name="−")).to_be_disabled()
    for count in (2, 3):
        sidebar.press("+")
        sidebar.nodes(count)
    expect(sidebar.status).to_have_text("3 nodes · 0 of 4 CPUs busy")

    sidebar.press("Attach")
    expect(notebook.cells.first).to_contain_text("%nbray attach 127.0.0.1:", timeout=SLOW)
    assert "3 nodes, 4 CPUs" in notebook.finished(0), notebook.output(0)
    run = "import nbray\n@nbray.remote\ndef f(x):\n    return x * x\n"
    cell = notebook.append(f"{run}nbray.get([f.remote(i) for i in range(4)])")
    assert "[0, 1, 4, 9]" in notebook.run(cell)
    sidebar.screenshot(f"sidebar-three-{theme}")

    for count in (2, 1):
        sidebar.press("−")
        sidebar.nodes(count)
    sidebar.press("Stop")
    sidebar.confirm("Stop")
    expect(sidebar.cards).to_have_count(0, timeout=SLOW)
    expect(sidebar.note).to_contain_text("No cluster of yours runs on this machine")
    expect(sidebar.status).to_be_hidden()
