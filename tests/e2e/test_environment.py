"""Another node's packages: the table under the attaching cell, and under the next one after a join.

The other environment is this one with a package's metadata shadowed: what a
version check reads is the metadata.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.cli import NBRAY, environment, nbray, worker_line
from e2e.front import Front, parent
from harness import private_folder
from jupyter_client.manager import start_new_kernel


@pytest.fixture
def other() -> Iterator[dict[str, str]]:
    """The environment variables of a node with numpy 0.1."""
    folder = private_folder("nbt-other-")
    fake = folder / "numpy-0.1.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    paths = [str(folder), *environment().get("PYTHONPATH", "").split(":")]
    yield environment(PYTHONPATH=":".join(filter(None, paths)))
    shutil.rmtree(folder)


@pytest.fixture
def front() -> Iterator[Front]:
    manager, client = start_new_kernel(kernel_name="python3")
    front = Front(manager, client)
    try:
        front.run("%load_ext nbray\nimport numpy as np, os, time")
        yield front
        front.run("%nbray stop")
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def table(message: dict[str, Any]) -> str:
    data = message["content"].get("data", {})
    text = str(data.get("text/plain", ""))
    assert not text.startswith("Packages") or "pip install numpy==" in data["text/html"]
    return text if text.startswith("Packages") else ""


def until_there(path: Path) -> str:
    """A cell that runs until there is such a file."""
    return f"while not os.path.exists({str(path)!r}): time.sleep(0.05)"


def join(line: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(
        [*NBRAY, *line, "--num-cpus=1"], env=variables, cwd=Path("/"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_attaching_shows_what_differs(
    front: Front, other: dict[str, str], tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    line = worker_line(nbray("start", "--head", "--num-cpus=1", "--port=0").stdout)
    try:
        join(line, other)
        address, secret = (word.partition("=")[2] for word in line[1:3])
        cell = front.start(f"%nbray attach {address} --secret {secret}\n{until_there(seen)}")
        shown = front.until(table)
        seen.touch()
        assert parent(shown) == cell.cell
        assert re.search(r"numpy +\d\S+ +0\.1\n", table(shown))
        front.finish(cell)
        assert not cell.error, cell.traceback
    finally:
        nbray("stop")


def test_joining_shows_what_differs_under_the_next_cell(
    front: Front, other: dict[str, str], tmp_path: Path
) -> None:
    front.run("%nbray start --cpus 1")
    line = front.run("line = %nbray join\nprint(line)").text
    join(worker_line(line), other)
    front.run("while len(nbray.nodes()) < 2: time.sleep(0.05)")
    cell = front.start(until_there(tmp_path / "seen"))
    shown = front.until(table)
    assert re.search(r"numpy +\d\S+ +0\.1\n", table(shown))
    (tmp_path / "seen").touch()
    front.finish(cell)
