"""The scripts beside the Makefile: the choice of Python, and the check of what is left."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from harness import ROOT, eventually

FIND = str(ROOT / ".ci" / "find-python")


def find_python(**more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    return subprocess.run(
        [FIND], check=False, capture_output=True, text=True, env={**environment, **more}
    )


def test_the_python_asked_for_is_taken() -> None:
    done = find_python(PYTHON=sys.executable)
    assert (done.returncode, done.stdout.strip()) == (0, sys.executable)


def test_a_python_that_does_not_run_is_named() -> None:
    done = find_python(PYTHON="/nowhere/python")
    assert done.returncode == 1
    assert "PYTHON=/nowhere/python does not run" in done.stderr


def test_without_a_python_it_says_which_are_fine(tmp_path: Path) -> None:
    for name in ("bash", "env"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = find_python(PATH=str(tmp_path))
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr


def test_too_old_a_python_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    new = tmp_path / "python3.12"
    new.symlink_to(sys.executable)
    done = find_python(PATH=f"{tmp_path}:/usr/bin:/bin")
    assert done.stdout.strip() == str(new)


@pytest.fixture
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / ".ci" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demonstration_finds_what_is_left(demo: Any, tmp_path: Path) -> None:
    (tmp_path / "socket").touch()
    environment = {**os.environ, demo.MARK: "some-mark"}
    argv = [sys.executable, "-c", "input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment) as child:
        assert eventually(lambda: len(demo.left_behind("some-mark", tmp_path, set())) == 2)
        left = demo.left_behind("some-mark", tmp_path, set())
        assert left[0].startswith(f"process {child.pid}: ")
        assert left[1] == f"run directory entry {tmp_path / 'socket'}"
    assert demo.left_behind("some-mark", tmp_path / "none", demo.shared_files()) == []


def test_outputs_are_shown_as_text(demo: Any) -> None:
    stream = {"output_type": "stream", "text": ["a\n", "b\n"]}
    value = {"output_type": "execute_result", "data": {"text/plain": "42", "text/html": "<b>"}}
    picture = {"output_type": "display_data", "data": {"image/png": "..."}}
    error = {"output_type": "error", "traceback": ["line one", "line two"]}
    shown = [demo.text_of(output) for output in (stream, value, picture, error)]
    assert shown == ["a\nb\n", "42\n", "[image/png]\n", "line one\nline two"]
