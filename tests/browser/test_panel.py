"""The panel in JupyterLab: what `%nbray start` shows, and its buttons, as a user presses them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from browser.lab import Lab, Notebook, notebook_of
from e2e.cli import nbray
from harness import ARTIFACTS
from playwright.sync_api import Locator, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

SLOW = 60_000
NAME = "panel.ipynb"
START = "%load_ext nbray\n%nbray start --cpus 1"
WORK = """\
import time, nbray
@nbray.remote
def where(seconds=0.3):
    time.sleep(seconds)
    print("    ran here")
    return nbray.get_runtime_context().get_node_id()
@nbray.remote(num_cpus=0)
class Counter:
    pass
counter = Counter.options(name="counter").remote()
used = set()
while len(used) < 2:
    used |= set(nbray.get([where.remote() for _ in range(2)]))
alive = [node for node in nbray.nodes() if node["Alive"]]
print(len(used), "used of", len(alive))
"""


LISTEN = """
root => {
    window.nbraySaid = [];
    new MutationObserver(() => {
        const note = root.querySelector('[role=status], [role=alert]');
        if (note) window.nbraySaid.push(note.textContent);
    }).observe(root, {subtree: true, childList: true});
}"""
"""Remembers what the panel says while something is done: it may be gone when one looks."""


class Panel:
    """The panel under one cell, and what a user does with it."""

    def __init__(self, notebook: Notebook, cell: int) -> None:
        self.page = notebook.page
        self.root = notebook.cell(cell).locator(".jp-OutputArea-output .widget-vbox").first
        self.table = self.root.locator(".nbray-panel").first

    def button(self, label: str) -> Locator:
        return self.root.get_by_role("button", name=label, exact=True)

    def nodes(self, count: int) -> None:
        """Wait until it shows *count* nodes, and until what was clicked is done."""
        plural = "s" if count != 1 else ""
        expect(self.table.locator(".nbray-head b")).to_have_text(f"{count} node{plural}",
                                                                 timeout=SLOW)  # fmt: skip
        expect(self.button("+ Node")).to_be_enabled(timeout=SLOW)

    def screenshot(self, name: str) -> None:
        path = ARTIFACTS / "screens" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.root.scroll_into_view_if_needed()
        self.root.screenshot(path=path)


@pytest.fixture
def notebook(lab: Lab, page: Page) -> Iterator[Notebook]:
    (lab.root / NAME).write_text(json.dumps(notebook_of(START, WORK, "nbray.init()")))
    opened = Notebook(page, lab, NAME)
    yield opened
    opened.close()
    nbray("stop")


def test_plus_and_minus_and_stop_and_what_it_opens(notebook: Notebook) -> None:
    assert "nbray is running: 1 node, 1 CPU" in notebook.run(0)
    panel = Panel(notebook, 0)
    panel.nodes(1)
    expect(panel.button("− Node")).to_be_disabled()

    # by the keyboard alone: the focus stays where it is while the table moves
    panel.root.evaluate(LISTEN)
    panel.button("Join line").focus()
    before = panel.table.inner_text()
    expect(panel.table).not_to_have_text(before, timeout=SLOW, use_inner_text=True)
    expect(panel.button("Join line")).to_be_focused()
    notebook.page.keyboard.press("Shift+Tab")
    notebook.page.keyboard.press("Shift+Tab")
    expect(panel.button("+ Node")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    panel.nodes(2)
    said = notebook.page.evaluate("window.nbraySaid")
    assert "Adding a node on this machine…" in said, said
    expect(panel.table).to_contain_text("worker 2")
    assert "2 used of 2" in notebook.run(1)

    panel.button("Jobs").click()
    jobs = panel.root.get_by_role("region", name="Jobs by cell")
    expect(jobs).to_contain_text("counter = Counter.options", timeout=SLOW)
    for theme in ("light", "dark"):
        notebook.theme(theme == "dark")
        panel.screenshot(f"panel-{theme}")
    panel.button("Actors").click()
    expect(panel.root.get_by_role("region", name="Actors")).to_contain_text("counter", timeout=SLOW)
    panel.button("Logs").click()
    expect(panel.root.get_by_role("log")).to_contain_text("    ran here", timeout=SLOW)
    panel.screenshot("panel-logs-dark")
    panel.button("Hide logs").click()
    expect(panel.root.get_by_role("log")).to_have_count(0)

    notebook.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.button("Join line").click()
    panel.button("Copy").click(timeout=SLOW)
    expect(panel.root.get_by_text("Copied")).to_be_visible(timeout=SLOW)
    line = notebook.page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"printf %s \S+ \| nbray start --address=\S+ --secret-file=-", line)
    panel.screenshot("panel-join-dark")
    panel.button("Hide join line").click()
    expect(panel.root.get_by_label("The line to paste on another machine")).to_have_count(0)
    assert line.split()[2] not in notebook.page.content()

    panel.button("− Node").click()
    panel.nodes(1)
    panel.button("+ Node").click()
    panel.nodes(2)
    panel.button("Stop a node").click()
    panel.screenshot("panel-stop-dark")
    panel.button("Stop gently").click(timeout=SLOW)
    panel.nodes(1)
    expect(panel.root).to_contain_text("no node but the head's", timeout=SLOW)
    expect(panel.button("Stop gently")).to_have_count(0)
    panel.button("+ Node").click()
    panel.nodes(2)
    panel.button("Stop at once").click(timeout=SLOW)
    panel.nodes(1)
    expect(panel.button("Stop at once")).to_have_count(0)

    # what `init` returns is the panel too; at the end both keep the last state, without buttons
    notebook.run(2)
    second = Panel(notebook, 2)
    second.nodes(1)
    stop = notebook.append("%nbray stop")
    assert "nbray has stopped" in notebook.run(stop)
    for cell in (0, 2):
        kept = notebook.cell(cell).locator(".nbray-panel")
        expect(kept).to_contain_text("stopped", timeout=SLOW)
        expect(notebook.cell(cell).locator(".jp-OutputArea-output button")).to_have_count(0)
