"""Bars, reasons, receipts and timelines in JupyterLab, light and dark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.lab import Lab, Notebook, notebook_of
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETUP = """%load_ext nbray
%nbray start --cpus 2
import os, threading, time

@remote(num_cpus=2)
class Holder:
    def ready(self):
        return True

@remote
def tiny(i):
    return i

@remote
def take(seconds):
    time.sleep(seconds)
    print('took', seconds)

@remote
def fails(i):
    time.sleep(0.3)
    if i == 3:
        raise ValueError(i)
"""


@pytest.fixture(scope="module")
def notebook(lab: Lab, one_page: Page) -> Iterator[Notebook]:
    Path(lab.root / "progress.ipynb").write_text(json.dumps(notebook_of(SETUP)))
    opened = Notebook(one_page, lab, "progress.ipynb")
    opened.run(0)
    yield opened
    opened.run(opened.append("%nbray stop"))
    opened.close()


@pytest.mark.timeout(600)
def test_a_cell_ends_with_its_receipt(notebook: Notebook) -> None:
    small = notebook.append("_ = [nbray.get(tiny.remote(i)) for i in range(20)]; 'short'")
    assert "Receipt" not in notebook.run(small)
    long = notebook.append(
        "_ = nbray.get([take.remote(0.1) for _ in range(30)] + [take.remote(3)])"
    )
    shown = notebook.run(long)
    assert "31 of 31" in shown
    assert "Receipt · 31 tasks on 1 node in" in shown
    assert re.search(r"one task of [3-9](\.\d)? s held the rest back", shown)
    summary = notebook.cell(long).locator(".nbray-receipt summary")
    body = notebook.cell(long).locator(".nbray-receipt .nbray-why").first
    expect(body).to_be_hidden()
    summary.click()
    expect(body).to_be_visible()
    notebook.screenshot("receipt", long)
    notebook.theme(dark=True)
    notebook.screenshot("receipt-dark", long)
    notebook.theme(dark=False)


@pytest.mark.timeout(600)
def test_final_bars_are_full_or_red_with_the_count(notebook: Notebook) -> None:
    bad = notebook.append(
        "refs = [fails.remote(i) for i in range(10)]\n"
        "for ref in nbray.progress(refs):\n"
        "    pass"
    )
    notebook.start(bad)
    expect(notebook.cell(bad).locator(".nbray-progress")).to_be_visible()
    shown = notebook.finished(bad)
    assert "9 of 10" in shown
    assert "1 failed" in shown
    final = notebook.cell(bad).locator(".nbray-final .nbray-total .nbray-bar")
    widths = final.locator("i").evaluate_all("parts => parts.map(p => parseFloat(p.style.width))")
    assert sum(widths) == pytest.approx(100, abs=0.5)
    assert final.locator(".nbray-bad").count() == 1
    notebook.screenshot("bars-failed", bad)


@pytest.mark.timeout(600)
def test_the_timeline_of_a_cell_light_and_dark(notebook: Notebook) -> None:
    work = notebook.append(
        "_ = nbray.get([take.remote(0.1 + 0.05 * (i % 3)) for i in range(24)]\n"
        "              + [tiny.remote(i) for i in range(20)])"
    )
    notebook.run(work)
    line = notebook.append(f"nbray.timeline({notebook.prompt(work).strip('[]:')})")
    notebook.run(line)
    picture = notebook.cell(line).locator(".nbray-timeline svg")
    expect(picture).to_be_visible()
    label = picture.get_attribute("aria-label") or ""
    assert label.startswith("Timeline: 44 tasks on 2 workers in ")
    notebook.screenshot("timeline", line)
    notebook.theme(dark=True)
    notebook.screenshot("timeline-dark", line)
    notebook.theme(dark=False)


@pytest.mark.timeout(600)
def test_what_waits_says_why_under_the_bars(notebook: Notebook, tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = notebook.append(
        "holder = Holder.remote(); nbray.get(holder.ready.remote())\n"
        "def leave():\n"
        f"    while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
        "    nbray.kill(holder)\n"
        "threading.Thread(target=leave).start()\n"
        "_ = nbray.get([take.remote(0) for _ in range(3)])"
    )
    notebook.start(wait)
    why = notebook.cell(wait).locator(".nbray-why", has_text="3 waiting:")
    expect(why).to_contain_text("need 1 CPU; ")
    expect(why).to_contain_text("has 0 of 2 CPUs free")
    notebook.screenshot("waiting", wait)
    notebook.theme(dark=True)
    notebook.screenshot("waiting-dark", wait)
    go.touch()
    notebook.theme(dark=False)
    notebook.finished(wait)
