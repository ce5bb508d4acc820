"""The harness itself, on a notebook without nbray: run, wait, read, stop."""

from __future__ import annotations

import json
import time

import pytest
from browser.lab import Lab, Notebook
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def write_notebook(lab: Lab, name: str, *sources: str) -> str:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{index}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for index, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (lab.root / name).write_text(json.dumps(content))
    return name


def test_run_read_and_stop(lab: Lab, page: Page) -> None:
    name = write_notebook(lab, "plain.ipynb", "print('first')", "40 + 2")
    notebook = Notebook(page, lab, name)
    assert notebook.run(0).strip() == "first"
    assert notebook.run(1).strip() == "42"
    assert notebook.find("40 + 2") == 1
    sleeper = notebook.append("import time\nfor i in range(600):\n    time.sleep(0.1)")
    notebook.start(sleeper)
    expect(notebook.cell(sleeper).locator(".jp-InputPrompt")).to_have_text("[*]:")
    time.sleep(1)
    notebook.stop()
    assert "KeyboardInterrupt" in notebook.finished(sleeper)
    after = notebook.append("print('usable')")
    assert notebook.run(after).strip() == "usable"
    notebook.screenshot("plain")
    notebook.close()
