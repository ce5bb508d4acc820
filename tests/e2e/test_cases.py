"""Minimal inputs of faults that were found, each with what it must print.

A case is a program of `cases/`; its `.expect` file has a regular expression that
its whole output matches. Those that are notebooks (`.txt`) are run cell by cell by
the tests of the kernels.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from e2e import cli
from harness import ROOT

CASES = Path(__file__).parent / "cases"
BESIDE = ROOT.parent / "shared" / "cases"
SHOWN = sorted(path.stem for path in CASES.glob("*.expect"))


def program(name: str) -> Path:
    (path,) = (path for path in CASES.glob(f"{name}.*") if path.suffix in {".py", ".sh"})
    return path


def test_the_copies_are_what_was_found() -> None:
    if not BESIDE.exists():
        return
    for path in CASES.glob("m*"):
        if path.suffix != ".expect":
            assert path.read_bytes() == (BESIDE / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", SHOWN)
def test_case(name: str) -> None:
    path = program(name)
    if path.suffix == ".sh":
        folder = Path(sys.executable).parent
        done = cli.run(["bash", str(path)], PATH=f"{folder}:/usr/bin:/bin")
    else:
        done = cli.python(path)
    expected = (CASES / f"{name}.expect").read_text(encoding="utf-8")
    assert re.fullmatch(expected, done.stdout), done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
