"""Programs that draw no updates, told by how they were started."""

import subprocess
import sys
from pathlib import Path

import pytest

from nbray.jupyter.cells.front_ends import draws_updates


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
@pytest.mark.parametrize(
    ("command", "draws"),
    [
        ("/usr/bin/jupyter-console", False),
        ("/opt/bin/jupyter-qtconsole --style monokai", False),
        ("jupyter-run program.py", False),
        ("python -m jupyter_console", False),
        ("/usr/bin/jupyter-lab", True),
        ("python -m pytest tests/test_jupyter.py", True),
        ("papermill in.ipynb out.ipynb", True),
    ],
)
def test_by_the_command_line(command, draws):
    process = subprocess.Popen(
        [sys.executable, "-c", "input()", *command.split()], stdin=subprocess.PIPE
    )
    try:
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            pass  # it is being started
        assert draws_updates(process.pid) is draws
    finally:
        process.communicate(b"\n")


def test_a_parent_that_is_gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert draws_updates(process.pid)
