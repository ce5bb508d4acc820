"""Memory by variable in JupyterLab: displayed references, the table, and the button that frees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.lab import Lab, Notebook, notebook_of
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETUP = """%load_ext nbray
%nbray start --cpus 2
import numpy as np, time

@remote
def block(i):
    return np.full(1_000_000, i)

@remote
def nap(data):
    time.sleep(600)
"""


@pytest.fixture
def notebook(lab: Lab, page: Page) -> Iterator[Notebook]:
    Path(lab.root / "memory.ipynb").write_text(json.dumps(notebook_of(SETUP)))
    opened = Notebook(page, lab, "memory.ipynb")
    opened.run(0)
    yield opened
    opened.run(opened.append("%nbray stop"))
    opened.close()


@pytest.mark.timeout(600)
def test_memory(notebook: Notebook) -> None:
    shown = notebook.append("ref = block.remote(1)\nnbray.wait([ref])\nref")
    assert "ObjectRef · stored, 7.6 MB, on " in notebook.run(shown)
    notebook.run(notebook.append("nbray.put(np.zeros(3_000_000))"))
    notebook.run(notebook.append("blocks = [block.remote(i) for i in range(12)]\nblocks[0]"))
    notebook.run(notebook.append("failed = nbray.put([ref])\nsleeping = nap.remote(blocks[3])"))
    table = notebook.append("%nbray memory")
    notebook.run(table)
    rows = notebook.cell(table).locator(".nbray-holdings tbody tr")
    expect(rows.filter(has_text="blocks").first).to_contain_text("10")
    expect(notebook.cell(table)).to_contain_text("held by history only: %nbray free")
    notebook.screenshot("memory", table)
    notebook.theme(dark=True)
    notebook.screenshot("memory-dark", table)
    notebook.theme(dark=False)
    button = notebook.cell(table).get_by_role("button", name="Free 23 MB")
    button.click()
    expect(notebook.cell(table)).to_contain_text("freed: 1 object that only history held")
    expect(notebook.cell(table)).not_to_contain_text("held by history only")
    expect(button).to_have_count(0)
    notebook.screenshot("memory-freed", table)
    free = notebook.append("%nbray free")
    assert "Nothing is held by history only" in notebook.run(free)
    notebook.run(notebook.append("nbray.cancel(sleeping, force=True)"))
