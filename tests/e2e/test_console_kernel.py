"""Programs that draw no updates: every line that tasks print is there, and bars are final."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = """
%load_ext nbray
%nbray start --cpus 2
import time
@remote
def f(i):
    time.sleep(0.2); print('line', i)
    if i == 0: print('half', end='')
"""
WORK = {
    "get": "nbray.get([f.remote(i) for i in range(16)])",
    "in the background": "refs = [f.remote(i) for i in range(16)]\ntime.sleep(3)\nnbray.get(refs)",
    "map": "import nbray.util\nlist(nbray.util.map(lambda i: print('line', i), range(16)))",
}


@pytest.mark.parametrize("how", WORK)
def test_no_line_is_lost_where_nothing_is_drawn_over(how: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"{SETUP}{WORK[how]}\n%nbray stop\n")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("jupyter-run")), str(program)],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    # `jupyter run` itself ends displays without a new line.
    assert sorted(map(int, re.findall(r"line (\d+)\n", done.stdout))) == list(range(16))
    assert "cancelled" not in done.stdout + done.stderr
