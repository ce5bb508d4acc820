"""What is saved, logged, or seen by other users of the machine opens nothing.

A notebook does all that shows a link or a line for joining, and is saved as batch
tools save it, with the state of its widgets; while it runs, every log of its session,
and every process's arguments and environment are read.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2e import cli
from e2e.dashboards import fetch
from harness import eventually
from nbclient import NotebookClient
from nbformat import v4

from nbray.dashboard.access import TICKET_SECONDS
from nbray.engine import load

CELLS = [
    "%load_ext nbray\n%nbray start --cpus 1",
    "%nbray dashboard",
    "nbray.dashboard()",
    "context = nbray.init(ignore_reinit_error=True)\nprint(context); context",
    "context.dashboard_url, dict(context)",
    "%nbray join",
    "nbray.panel()",
    "%nbray status",
    "import os\n@remote\ndef seen(): return dict(os.environ)\nnbray.get(seen.remote());",
    "raise RuntimeError(repr(context))",
]


class Run:
    """The notebook, saved while its kernel lives, and what must not be found."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "secrets.ipynb"
        notebook: Any = v4.new_notebook(
            cells=[v4.new_code_cell(source) for source in CELLS],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        before = {record.directory for record in load("native").records()}
        self.client = NotebookClient(notebook, timeout=120, allow_errors=True)
        self.client.create_kernel_manager()
        self.client.start_new_kernel()
        self.client.start_new_kernel_client()
        for number, cell in enumerate(notebook.cells):
            self.client.execute_cell(cell, number)
        self.client.set_widgets_metadata()
        self.text = json.dumps(notebook)
        self.path.write_text(self.text)
        (self.record,) = [r for r in load("native").records() if r.directory not in before]
        self.hidden = {"secret": self.record.secret, "key": self.record.dashboard.key}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    made = Run(tmp_path_factory.mktemp("secrets"))
    yield made
    made.client._cleanup_kernel()
    assert eventually(lambda: made.record not in load("native").records())


def test_the_saved_notebook_holds_neither(run: Run) -> None:
    for what, text in run.hidden.items():
        assert len(text) >= 32
        assert text not in run.text, f"the {what} is in the saved notebook"
    assert "http://127.0.0.1" in run.text
    assert "nbray join prints it" in run.text


def test_its_links_open_the_dashboard_for_some_minutes_only(run: Run) -> None:
    links = set(re.findall(r"http://127\.0\.0\.1:\d+/\?key=[\w.-]+", run.text))
    assert links
    for link in links:
        assert fetch(link)[0] == 200
        until = int(re.findall(r"key=(\d+)\.", link)[0])
        assert time.time() < until < time.time() + TICKET_SECONDS + 1
        earlier = link.replace(str(until), str(until - TICKET_SECONDS - 60))
        assert fetch(earlier)[0] == 401, "its time cannot be moved"


def test_no_log_holds_either(run: Run) -> None:
    read = 0
    for path in Path(run.record.directory).rglob("*"):
        if path.suffix == ".log" or path.name.startswith("output"):
            read += 1
            text = path.read_text(errors="replace")
            assert not [what for what, hidden in run.hidden.items() if hidden in text], path
    assert read


def test_no_arguments_and_no_environment_hold_either(run: Run) -> None:
    read = 0
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *map(str, process.environ().items())]
        except (psutil.Error, OSError):
            continue
        read += 1
        for what, hidden in run.hidden.items():
            assert not any(hidden in word for word in words), f"the {what}: {process}"
    assert read > 3


@pytest.mark.parametrize("spelled", ["--redis-password={}", "--redis-password {}"])
def test_the_secret_does_not_stay_in_the_arguments_of_a_command(spelled: str) -> None:
    secret = "a-secret-of-many-letters-" + str(os.getpid())
    argv = [*cli.NBRAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", "--port=0",
            *spelled.format(secret).split()]  # fmt: skip
    process = subprocess.Popen(argv, env=cli.environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        shown = ""
        while "paste" not in shown and "add a node" not in shown:
            shown = process.stdout.readline()
            assert shown, "it has ended"
        words: list[Any] = psutil.Process(process.pid).cmdline()
        assert "--block" in words
        assert not [word for word in words if secret in word]
        status = cli.nbray("status")
        assert status.returncode == 0, status.stderr
        assert secret not in status.stdout
        assert "nbray join" in status.stdout
        joins = cli.nbray("join")
        assert cli.secret_of(cli.worker_line(joins.stdout)) == secret
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_the_line_for_joining_works_as_it_is_pasted(run: Run) -> None:
    line = cli.nbray("join").stdout.strip()
    assert run.record.secret in line
    program = " ".join([*cli.NBRAY, "start"])
    done = subprocess.run(
        ["/bin/sh", "-c", line.replace("nbray start", program) + " --num-cpus=1"],
        env=cli.environment(), capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "This machine is node 2" in done.stdout


def test_no_notebook_that_tests_have_saved_holds_a_link_that_lasts(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = Path(__file__).parents[2]
    saved = [*root.glob("notebooks/**/*.ipynb"), *root.glob("artifacts/**/*.ipynb"),
             *tmp_path_factory.getbasetemp().rglob("*.ipynb")]  # fmt: skip
    assert saved
    for path in saved:
        text = path.read_text(errors="replace")
        lasting = re.findall(r"\?key=[\w-]{16,}(?![\w.-])", text)
        assert not lasting, path
        assert not re.findall(r"printf %s [\w-]{20,} \||--redis-password=[\w-]{20,}", text), path
