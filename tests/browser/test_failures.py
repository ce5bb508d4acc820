"""A failed task in JupyterLab: the traceback, what folds out, and the post-mortem."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.accessible import violations
from browser.lab import Lab, Notebook, notebook_of
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETUP = """%load_ext nbray
%nbray start --cpus 2
import json
import numpy as np

@remote
def measure(path, limit):
    image = np.ones((300, 400))
    settings = {"limit": limit, "path": path}
    return summary(image, settings)

def summary(image, settings):
    scale = json.loads('{"scale": 4}')["scale"]
    return image.sum() / settings["limit"] * scale
"""


@pytest.fixture
def notebook(lab: Lab, page: Page) -> Iterator[Notebook]:
    Path(lab.root / "failures.ipynb").write_text(json.dumps(notebook_of(SETUP)))
    opened = Notebook(page, lab, "failures.ipynb")
    opened.run(0)
    yield opened
    opened.run(opened.append("%nbray stop"))
    opened.close()


@pytest.mark.timeout(600)
def test_a_failure_and_its_post_mortem(notebook: Notebook) -> None:
    many = notebook.append(
        "refs = [measure.remote(f'{i}.png', 'x') for i in range(500)]\n"
        "nbray.wait(refs, num_returns=500)\n"
        "nbray.get(refs)"
    )
    shown = notebook.run(many)
    assert re.search(r"\d+ tasks failed the same way", shown)
    assert shown.index("return image.sum()") < shown.index("awaited at")
    folded = notebook.append(
        "@remote\ndef parse(text):\n    return json.loads(text)\nnbray.get(parse.remote('{'))"
    )
    notebook.run(folded)
    details = notebook.cell(folded).locator(".nbray-failure details")
    expect(details).to_contain_text("Full traceback")
    details.locator("summary").click()
    expect(details.locator("pre")).to_contain_text("json/decoder.py")
    notebook.screenshot("failure-traceback", folded)
    notebook.run(many)
    debug = notebook.append("%nbray debug")
    notebook.run(debug)
    frames = notebook.cell(debug).locator(".nbray-failure > details")
    expect(frames.locator("summary").nth(0)).to_contain_text("in measure")
    expect(notebook.cell(debug).locator("details[open] table")).to_contain_text("ndarray 300x400")
    notebook.screenshot("failure-debug", debug)
    stopped = notebook.append("import time\nnbray.get(remote(time.sleep).remote(60))")
    notebook.start(stopped)
    expect(notebook.cell(stopped).locator(".nbray-progress").first).to_be_visible()
    notebook.stop()
    assert "Stopped" in notebook.finished(stopped)
    assert violations(notebook.page, ".jp-OutputArea-output") == []
    notebook.theme(dark=True)
    notebook.screenshot("failure-dark", debug)
    notebook.screenshot("failure-dark-stopped", stopped)
    assert violations(notebook.page, ".jp-OutputArea-output") == []
    notebook.theme(dark=False)
