"""Loading ahead: everything the first panel needs, and only where it can be shown."""

from __future__ import annotations

import subprocess
import sys

from harness import ROOT

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from fake_kernel import Kernel, Shell
from nbray.jupyter.ahead import load_ahead
from nbray.jupyter.cells import Cells

needed = {{"ipywidgets", "jinja2", "nbray.jupyter.panel", "nbray.view.panel"}}
own = Cells()
own.attach(Shell())
assert load_ahead(own) is None
own.attach(Shell(Kernel()))
assert not needed & set(sys.modules)
load_ahead(own).join()
print(sorted(needed - set(sys.modules)))
from nbray.view.render import _environment
print(_environment().cache.keys()[0][1])
"""


def test_a_kernel_loads_what_a_panel_needs_and_a_terminal_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(tests=str(ROOT / "tests"))],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["[]", "panel.html.j2"]
