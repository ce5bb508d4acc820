"""The folder in which a cluster was started is nobody's who uses it; a driver's own is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import cli

PLANTED = ("numpy", "cloudpickle", "helper", "sitecustomize", "nbray")
USE = """
import nbray
nbray.init("auto")
@nbray.remote
def look():
    import sys, numpy, cloudpickle
    files = [module.__file__ for module in (numpy, cloudpickle, nbray)]
    return files, [path for path in sys.path if not path]
files, empty = nbray.get(look.remote())
print(any("planted" in file for file in files), empty)
"""
OWN = """
import nbray, helper
nbray.init("auto")
@nbray.remote
def use():
    import helper, late
    return helper.WHO, late.WHO
print(*nbray.get(use.remote()))
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster of two nodes, started in a folder full of modules that must not be imported."""
    folder = tmp_path_factory.mktemp("planted")
    for name in PLANTED:
        (folder / f"{name}.py").write_text("raise SystemExit('the planted one was imported')\n")
    line = [*cli.NBRAY, "start", "--head", "--num-cpus", "2", "--port", "0"]
    done = subprocess.run(
        line, cwd=folder, env=cli.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield folder
    cli.nbray("stop")


def ran(folder: Path, program: str) -> list[str]:
    (folder / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=cli.environment(), capture_output=True,
        text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_workers_import_nothing_from_there(planted: Path, tmp_path: Path) -> None:
    assert ran(tmp_path, USE) == ["False", "[]"]


def test_a_driver_s_own_folder_works_for_its_tasks(planted: Path, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WHO = 'mine'\n")
    (tmp_path / "late.py").write_text("WHO = 'mine, too'\n")
    assert ran(tmp_path, OWN) == ["mine", "mine,", "too"]


def test_two_drivers_each_have_their_own(planted: Path, tmp_path: Path) -> None:
    for who in ("anna", "ben"):
        (tmp_path / who).mkdir()
        (tmp_path / who / "helper.py").write_text(f"WHO = {who!r}\n")
        (tmp_path / who / "late.py").write_text(f"WHO = {who!r}\n")
    for who in ("anna", "ben", "anna"):
        assert ran(tmp_path / who, OWN) == [who, who]
