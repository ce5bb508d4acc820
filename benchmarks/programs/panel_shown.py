"""How long until the panel is on the screen: JupyterLab, a headless Chromium, fresh kernels.

From Ctrl+Enter in the cell with `%nbray start`, which shows it (`%load_ext nbray` has run), to
the frame in which the page holds the panel's rows, both by the page's own clock.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path

from timing import report

TIMES = 5
LOAD, SHOW = "%load_ext nbray", "%nbray start"
WATCH = """
() => {
    window.nbraySeen = new Promise(seen => addEventListener('keydown', event => {
        if (!event.ctrlKey || event.key !== 'Enter') return;
        const began = performance.now();
        const look = () => document.querySelector('.nbray-panel tbody tr')
            ? seen((performance.now() - began) / 1000) : requestAnimationFrame(look);
        look();
    }, {capture: true}));
}"""


def main():
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's has been compiled before
    tests = Path(__file__).parents[2] / "tests"
    sys.path.insert(0, str(tests))
    try:
        from browser.conftest import FLAGS, SCREEN
        from browser.lab import Lab, Notebook, chromium, notebook_of
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        print(f"NOTE panel on screen: left out, it takes the tests' environment ({error})")
        return
    if not chromium():
        print("NOTE panel on screen: left out, Chromium is not installed")
        return
    lab = Lab(tests.parent / "notebooks")
    try:
        lab.wait_until_up()
        times = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport=SCREEN)
            for number in range(TIMES):
                name = f"panel{number}.ipynb"
                (lab.root / name).write_text(json.dumps(notebook_of(LOAD, SHOW, "%nbray stop")))
                notebook = Notebook(page, lab, name)
                notebook.run(0)
                page.evaluate(WATCH)
                notebook.start(1)
                times.append(page.evaluate("() => window.nbraySeen"))
                notebook.finished(1)
                notebook.run(2)
                notebook.close()
            browser.close()
        report("panel on screen", statistics.median(times))
        print("NOTE panel on screen: " + ", ".join(f"{seconds:.2f}" for seconds in times) + " s")
    finally:
        lab.close()


if __name__ == "__main__":
    main()
