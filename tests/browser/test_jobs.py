"""A named job in JupyterLab: its kernel is restarted, and another one has its result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.lab import Lab, Notebook, notebook_of
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

JOB = """%%remote --bg --name train --each epoch in range(8)
import os, time
print('epoch', epoch, 'begins')
while epoch == 7 and not os.path.exists('go'): time.sleep(0.05)
epoch ** 2
"""


@pytest.fixture
def notebook(lab: Lab, page: Page) -> Iterator[Notebook]:
    (lab.root / "go").unlink(missing_ok=True)
    cells = ("%load_ext nbray\n%nbray start --cpus 2", JOB, "%load_ext nbray\n%nbray attach",
             "%nbray jobs", "nbray.fetch('train')")  # fmt: skip
    Path(lab.root / "jobs.ipynb").write_text(json.dumps(notebook_of(*cells)))
    opened = Notebook(page, lab, "jobs.ipynb")
    yield opened
    opened.run(opened.append("%nbray stop"))
    opened.close()


@pytest.mark.timeout(600)
def test_a_job_survives_the_restart_of_its_kernel(lab: Lab, notebook: Notebook) -> None:
    notebook.run(0)
    shown = notebook.run(1)
    assert "This cluster stays when the notebook ends" in shown
    expect(notebook.cell(1)).to_contain_text("epoch 7 begins")
    notebook.restart()
    attached = notebook.run(2)
    assert "nbray is attached to the cluster on this machine: 1 node" in attached
    notebook.run(3)
    row = notebook.cell(3).locator("tbody tr")
    expect(row).to_contain_text("train")
    expect(row).to_contain_text("running")
    expect(row).to_contain_text("7 of 8")
    notebook.start(4)
    bars = notebook.cell(4).locator(".nbray-progress")
    expect(bars).to_contain_text("7 of 8")
    (lab.root / "go").touch()
    result = notebook.finished(4)
    assert "[0, 1, 4, 9, 16, 25, 36, 49]" in result
    assert "8 of 8" in result
    assert "epoch 0 begins" in result
    assert "epoch 7 begins" in result
    notebook.screenshot("jobs", 4)
    notebook.theme(dark=True)
    notebook.screenshot("jobs-dark", 4)
    notebook.theme(dark=False)
    assert "done, fetched" in notebook.run(3)
