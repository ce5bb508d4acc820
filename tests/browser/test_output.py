"""What tasks print and show in JupyterLab, as a user sees it, light and dark."""

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
import time

@remote
def speak(words, after=0, lines=1):
    import sys
    time.sleep(after)
    for i in range(lines):
        print(words, i)
    if lines > 5:
        print('\\x1b[32mdone\\x1b[0m', words, file=sys.stderr)

@remote
def draw(after=0):
    import matplotlib.pyplot as plt
    time.sleep(after)
    plt.figure(figsize=(3, 1.5)); plt.plot([1, 3, 2, 4]); plt.show()

@remote
def steps(name):
    from tqdm import tqdm
    for _ in tqdm(range(30), desc=name):
        time.sleep(0.05)
"""


@pytest.fixture
def notebook(lab: Lab, page: Page) -> Iterator[Notebook]:
    Path(lab.root / "output.ipynb").write_text(json.dumps(notebook_of(SETUP)))
    opened = Notebook(page, lab, "output.ipynb")
    opened.run(0)
    yield opened
    opened.run(opened.append("%nbray stop"))
    opened.close()


@pytest.mark.timeout(600)
def test_output_belongs_to_its_cell(notebook: Notebook) -> None:
    late = notebook.append(
        "slow = [speak.remote('of the first', 2), draw.remote(2)]\n'launched'"
    )
    notebook.run(late)
    other = notebook.append("nbray.get(speak.remote('of the second')); time.sleep(4)")
    shown = notebook.run(other)
    assert "of the second 0" in shown
    assert "of the first" not in shown
    expect(notebook.cell(late)).to_contain_text("of the first 0")
    expect(notebook.cell(late).locator("img")).to_have_count(1)
    expect(notebook.cell(other).locator("img")).to_have_count(0)
    notebook.screenshot("output-late", other)

    many = notebook.append("nbray.get([speak.remote(w, .3, 300) for w in 'abc']);")
    notebook.run(many)
    block = notebook.cell(many).locator(".nbray-output")
    expect(block).to_contain_text("903 lines")
    fold = block.locator("details details").first
    fold.locator("summary").click()
    expect(fold.locator("pre")).to_contain_text("earlier lines: %nbray logs")
    notebook.screenshot("output-folded", many)

    bars = notebook.append("nbray.get([steps.remote(n) for n in ('one', 'two')]);")
    notebook.run(bars)
    expect(notebook.cell(bars).locator(".nbray-output pre").first).to_contain_text("30/30")
    notebook.screenshot("output-bars", bars)
    expect(notebook.cell(bars)).to_contain_text("one: 100%")
    assert notebook.output(bars).count("one: 100%") == 1

    flood = notebook.append("nbray.get(speak.remote('line', 0, 100_000))")
    notebook.run(flood)
    expect(notebook.cell(flood)).to_contain_text("100,001 lines")
    # The page answers: a click folds the block.
    notebook.cell(flood).locator(".nbray-output summary").first.click()
    expect(notebook.cell(flood).locator(".nbray-output > details[open]")).to_have_count(0)
    logs = notebook.append(f"%nbray logs {notebook.prompt(flood).strip('[]:')}")
    notebook.run(logs)
    expect(notebook.cell(logs).locator(".nbray-log pre")).to_contain_text("line 99999")
    notebook.screenshot("output-logs", logs)
    notebook.theme(dark=True)
    notebook.screenshot("output-dark", many)
    notebook.screenshot("output-dark-bars", bars)
    notebook.theme(dark=False)
