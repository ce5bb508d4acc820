"""Running nbray's command line and programs as a user would: by their names."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from harness import ROOT, private_folder

NBRAY = [str(Path(sys.executable).with_name("nbray"))]
BESIDE = ROOT.parent / "shared" / "acceptance"
"""The owner's acceptance programs, where the checkout has them beside it."""
PROGRAMS = Path(__file__).parent / "programs"


def program(name: str) -> Path:
    """The acceptance program *name*: the owner's own file, or the copy of it kept here."""
    return BESIDE / name if (BESIDE / name).exists() else PROGRAMS / name


def environment(**more: str) -> dict[str, str]:
    """This environment without an address to join, unbuffered, plus *more*."""
    kept = {name: value for name, value in os.environ.items() if name != "NBRAY_ADDRESS"}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def run(
    argv: Sequence[str], timeout: float = 150, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run *argv* in a folder of its own, so that only the installed package is found."""
    folder = private_folder("nbt-cwd-")
    try:
        return subprocess.run(
            argv,
            cwd=folder,
            env=environment(**more),
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    finally:
        folder.rmdir()


def nbray(*argv: str, timeout: float = 150, **more: str) -> subprocess.CompletedProcess[str]:
    """`nbray ARGV`."""
    return run([*NBRAY, *argv], timeout, **more)


def python(path: Path, *argv: str, timeout: float = 150) -> subprocess.CompletedProcess[str]:
    """`python PATH ARGV`."""
    return run([sys.executable, str(path), *argv], timeout)


def worker_line(printed: str) -> list[str]:
    """The arguments of the line for workers in what `nbray start --head` printed.

    The line itself hides the secret in a pipe.

    Raises:
        AssertionError: there is no such line.
    """
    found = re.search(r"printf %s (.+) \| nbray (start --address=\S+) --secret-file=-", printed)
    assert found, f"no line for workers in:\n{printed}"
    return [*found[2].split(), f"--redis-password={shlex.split(found[1])[0]}"]


def secret_of(line: Sequence[str]) -> str:
    """The secret in a worker's line."""
    (word,) = [word for word in line if word.startswith("--redis-password=")]
    return word.partition("=")[2]


def node_of(root_pid: int) -> psutil.Process:
    """The node of a machine's part: the first that its root has forked."""
    return min(psutil.Process(root_pid).children(), key=lambda one: one.pid)
