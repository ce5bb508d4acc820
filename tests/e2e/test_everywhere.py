"""Where there is no JupyterLab: batch runs, terminals, scripts, and other front ends' formats.

VS Code and Colab cannot be run here. What they are given is: HTML and text in
every output, and widgets of the core packages only.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
import pytest
from e2e.cli import environment
from harness import private_folder
from headless import CELLS, STOP, executed, text_of, written
from nbformat import NotebookNode

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = private_folder("nbt-headless-")
    yield made
    shutil.rmtree(made)


def ran(notebook: NotebookNode) -> None:
    """The notebook shows what it should."""
    text = text_of(notebook)
    assert "390.0" in text
    assert "halving 32" in text
    assert "40 of 40" in text
    assert "hello from two" in text
    assert "['ONE', 'TWO']" in text


def command(*argv: str, cwd: Path) -> None:
    done = subprocess.run(
        argv, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def saved(folder: Path) -> NotebookNode:
    """Everything that nbray shows, as nbclient saves it; the kernel ends without `%nbray stop`."""
    return executed(written(folder / "client.ipynb", *CELLS))


def test_nbclient(saved: NotebookNode) -> None:
    ran(saved)


def test_nbconvert_execute(folder: Path) -> None:
    path = written(folder / "convert.ipynb", *CELLS, STOP)
    command(
        sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", path.name,
        cwd=folder,
    )  # fmt: skip
    ran(nbformat.read(path, as_version=4))


def test_papermill(folder: Path) -> None:
    path = written(folder / "papermill.ipynb", *CELLS)
    command(sys.executable, "-m", "papermill", path.name, "out.ipynb", cwd=folder)
    ran(nbformat.read(folder / "out.ipynb", as_version=4))


def test_a_failing_batch_run_ends_and_says_what_failed(folder: Path) -> None:
    path = written(
        folder / "fails.ipynb",
        CELLS[0],
        "@remote\ndef broken(x):\n    return 1 / x\nlate = [broken.options(num_cpus=0).remote(1)]\n"
        "nbray.get(broken.remote(0))",
    )
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", path.name],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    assert "return 1 / x" in done.stderr


def test_every_display_has_html_and_text_and_only_core_widgets(saved: NotebookNode) -> None:
    shown = [
        output.data
        for cell in saved.cells
        for output in cell.outputs
        if output.output_type == "display_data" or WIDGET in output.get("data", {})
    ]
    assert len(shown) >= 2
    for data in shown:
        assert set(data) - {WIDGET} == {"text/html", "text/plain"}
        assert "<script" not in data["text/html"]
        # Nothing is loaded from elsewhere; the dashboard's link leads to this machine.
        html = re.sub(r'xmlns="[^"]*"', "", data["text/html"])
        assert "http" not in html.replace("http://127.0.0.1:", "")
        assert not re.search(r"src=|@import|<link", html)
    # Nobody was there to see anything move: no widget, and no state of one (D15).
    assert not any(WIDGET in data for data in shown)
    assert not saved.metadata.get("widgets", {}).get(STATE, {}).get("state")


def talk(argv: Sequence[str], typed: str, wait_for: str, cwd: Path, limit: float = 150) -> str:
    """Run *argv* on a terminal of its own, type, and return all it wrote when it has ended."""
    terminal, its = pty.openpty()
    process = subprocess.Popen(
        argv, stdin=its, stdout=its, stderr=its, cwd=cwd, start_new_session=True,
        env=environment(TERM="xterm", COLUMNS="100", LINES="40"),
    )  # fmt: skip
    os.close(its)
    said = b""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if typed and wait_for.encode() in said:
            os.write(terminal, typed.encode())
            typed = ""
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            said += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
    else:
        process.kill()
    code = process.wait()
    os.close(terminal)
    text = said.decode(errors="replace")
    assert code == 0, text
    return text


WORK = """
import time
import nbray

@nbray.remote
def halve(x):
    time.sleep(0.15)
    if x == 8:
        print("halving 8")
    return x / 2

if __name__ == "__main__":
    nbray.init(num_cpus=2)
    print("sum", sum(nbray.get([halve.remote(x) for x in range(30)])))
"""


def test_ipython_in_a_terminal_shows_bars_as_text(folder: Path) -> None:
    (folder / "session.ipy").write_text(
        "%load_ext nbray\n%nbray start --cpus 2\n"
        + WORK.partition("if __name__")[0]
        + "print('sum', sum(nbray.get([halve.remote(x) for x in range(30)])))\n"
        "nbray.panel()\n%nbray stop\n"
    )
    text = talk(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "session.ipy"],
        "", "", folder,
    )  # fmt: skip
    assert "sum 217.5" in text
    assert "halving 8" in text
    assert re.search(r"\d+ of 30", text)
    assert "█" in text or "#" in text or "━" in text, text
    assert "nbray has stopped" in text
    assert "<div" not in text


def test_ipython_typed_at_the_prompt(folder: Path) -> None:
    (folder / "typed.py").write_text(WORK.partition("if __name__")[0])
    typed = (
        "%run typed.py\n%load_ext nbray\n%nbray start --cpus 2\n"
        "sum(nbray.get([halve.remote(x) for x in range(30)]))\n%nbray stop\nexit\n"
    )
    text = talk(
        [sys.executable, "-m", "IPython", "--no-banner", "--simple-prompt", "--colors=NoColor"],
        typed, "In [1]", folder,
    )  # fmt: skip
    assert re.search(r"Out\[\d\]: 217.5", text)
    assert re.search(r"\d+ of 30", text)
    assert "nbray has stopped" in text


def test_a_script_on_a_terminal_shows_bars(folder: Path) -> None:
    (folder / "work.py").write_text(WORK)
    text = talk([sys.executable, "work.py"], "", "", folder)
    assert "sum 217.5" in text
    assert re.search(r"\d+ of 30", text)


def test_a_script_without_a_terminal_writes_plain_lines(folder: Path) -> None:
    (folder / "work.py").write_text(WORK)
    done = subprocess.run(
        [sys.executable, "work.py"], cwd=folder, env=environment(), capture_output=True,
        text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"(\(halve pid=\d+\) halving 8\n|sum 217\.5\n){2}", done.stdout)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert " of 30" not in done.stderr
