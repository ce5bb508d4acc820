"""Output widgets in JupyterLab hold what tasks print and plot, in cells and in callbacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser.lab import Lab, Notebook, notebook_of
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETUP = """%load_ext nbray
%nbray start --cpus 2
import ipywidgets, time

@remote
def f(x, after=0.0):
    import matplotlib.pyplot as plt
    time.sleep(after)
    print('a task has', x)
    if after:
        plt.figure(figsize=(2, 1)); plt.plot([1, x]); plt.show()
    return x
"""


def said(notebook: Notebook, cell: int) -> int:
    """How many lines of tasks are in *cell*'s one output."""
    outputs = notebook.cell(cell).locator(".jp-OutputArea-output")
    return outputs.first.inner_text().count("a task has")


@pytest.mark.timeout(600)
def test_boxes_and_interact_hold_what_tasks_print(lab: Lab, page: Page) -> None:
    Path(lab.root / "held.ipynb").write_text(json.dumps(notebook_of(SETUP)))
    notebook = Notebook(page, lab, "held.ipynb")
    notebook.run(0)
    boxed = notebook.append(
        "box = ipywidgets.Output(layout={'border': '1px solid red'})\n"
        "with box:\n"
        "    print('own')\n"
        "    nbray.get([f.remote(i, 1.5) for i in range(2)])\n"
        "print('outside')"
    )
    assert "a task has" not in notebook.run(boxed)
    shown = notebook.append("box")
    notebook.run(shown)
    for value in (0, 1):
        expect(notebook.cell(shown)).to_contain_text(f"a task has {value}")
    assert said(notebook, shown) == 2
    expect(notebook.cell(shown).locator("img")).to_have_count(2)
    moved = notebook.append("ipywidgets.interact(lambda x: nbray.get(f.remote(x)), x=(0, 9));")
    notebook.run(moved)
    expect(notebook.cell(moved)).to_contain_text("a task has 4")
    for _ in range(3):
        notebook.cell(moved).locator("[role=slider]").press("ArrowRight")
    expect(notebook.cell(moved)).to_contain_text("a task has 7")
    assert said(notebook, moved) == 1
    notebook.screenshot("held", moved)
    notebook.run(notebook.append("%nbray stop"))
    notebook.close()
