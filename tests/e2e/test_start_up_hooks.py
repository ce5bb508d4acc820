"""What Python runs at its start (sitecustomize, usercustomize, `.pth` files) may start threads."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from e2e import cli

PROGRAM = """
import os, sys, threading
import nbray
nbray.init(num_cpus=2)
@nbray.remote
def look():
    names = {thread.name for thread in threading.enumerate()}
    return "mine" in names, os.environ.get("HOOKED") == str(os.getpid()), sys.prefix
here = sys.prefix
@nbray.remote(num_cpus=0)
class Counter:
    def look(self):
        import numpy
        return os.environ.get("OMP_NUM_THREADS")
thread, hooked, prefix = nbray.get(look.remote())
print(thread, hooked, prefix == here, nbray.get(Counter.remote().look.remote()))
"""
THREAD = """
import os, threading, time
os.environ["HOOKED"] = str(os.getpid())
threading.Thread(target=time.sleep, args=(100,), name="mine", daemon=True).start()
"""


def run(folder: Path) -> str:
    path = folder / "program.py"
    path.write_text(PROGRAM)
    done = cli.run([sys.executable, str(path)], PYTHONPATH=str(folder / "hooks"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def hook(folder: Path, name: str, text: str) -> None:
    (folder / "hooks").mkdir(exist_ok=True)
    (folder / "hooks" / name).write_text(textwrap.dedent(text))


@pytest.mark.parametrize("name", ["sitecustomize.py", "of a .pth"])
def test_a_thread_that_a_hook_starts(name: str, tmp_path: Path) -> None:
    if name == "of a .pth":
        hook(tmp_path, "hooked.py", THREAD)
        hook(tmp_path, "mine.pth", "import hooked\n")
        text = "import site; site.addsitedir(__file__.rpartition('/')[0])\n"
        hook(tmp_path, "sitecustomize.py", text)
    else:
        hook(tmp_path, name, THREAD)
    assert run(tmp_path).split() == ["True", "True", "True", "1"]


def test_a_hook_that_loads_a_library_with_threads(tmp_path: Path) -> None:
    hook(tmp_path, "sitecustomize.py", "import numpy, os; os.environ['HOOKED'] = str(os.getpid())")
    assert run(tmp_path).split()[2:] == ["True", "1"]


def test_a_thread_that_comes_late(tmp_path: Path) -> None:
    hook(
        tmp_path, "sitecustomize.py",
        """
        import threading, time
        timer = threading.Timer(0.05, time.sleep, (100,))
        timer.daemon = True
        timer.start()
        """,
    )  # fmt: skip
    assert run(tmp_path).split()[2:] == ["True", "1"]


def test_a_hook_that_fails(tmp_path: Path) -> None:
    hook(tmp_path, "sitecustomize.py", THREAD + "raise ValueError('of the hook')\n")
    assert run(tmp_path).split() == ["True", "True", "True", "1"]
