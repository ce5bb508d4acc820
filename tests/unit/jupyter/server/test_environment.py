"""Which Python a kernel runs, and what its user calls a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbray.clusters.launcher import Refused
from nbray.jupyter.server.environment import of_kernel, origin_of, own, python_of


class Kernels(dict[str, Any]):
    """A kernel manager's part that is used."""

    def get_kernel(self, key: str) -> Any:
        return self[key]


def kernel(pid: int | None, language: str = "python", *argv: str, **env: str) -> Any:
    spec = SimpleNamespace(
        language=language, display_name="Mine", argv=list(argv or ["python"]), env=env
    )
    return SimpleNamespace(kernel_spec=spec, provisioner=SimpleNamespace(pid=pid))


def test_the_running_process_counts(tmp_path: Path) -> None:
    program = "print(flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, cwd=tmp_path)
    assert child.stdout is not None
    child.stdout.readline()  # a process is not at once what /proc says of it
    try:
        kernels = Kernels(k=kernel(child.pid, "python", "/other/python", NBT_X="1"))
        found = of_kernel(kernels, "k")
    finally:
        child.communicate(b"\n")
    by = found.interpreter
    assert by.python == sys.executable
    assert (found.name, by.env["NBT_X"], by.cwd) == ("Mine", "1", str(tmp_path))


def test_the_specification_stands_in() -> None:
    found = of_kernel(Kernels(k=kernel(None, "python", "/env/bin/python")), "k")
    assert found.interpreter.python == "/env/bin/python"
    with pytest.raises(Refused, match="does not run on this machine"):
        of_kernel(Kernels(k=kernel(None)), "k")


def test_who_cannot_start_one_is_told_so() -> None:
    with pytest.raises(Refused, match="runs Mine"):
        of_kernel(Kernels(k=kernel(os.getpid(), "R")), "k")
    with pytest.raises(Refused, match="has ended"):
        of_kernel(Kernels(), "k")


def test_the_servers_own() -> None:
    assert own().interpreter.python == sys.executable


def test_a_wrapped_kernel_is_found_below_its_wrapper() -> None:
    lines = [["/bin/bash", "-c", "exec"], ["/venv/bin/python3", "-m", "ipykernel_launcher"]]
    assert python_of(lines) == "/venv/bin/python3"
    assert python_of([["python", "-m", "x"], []]) == ""


@pytest.mark.parametrize(
    ("line", "called"),
    [
        (["/bin/python", "-m", "ipykernel_launcher"], "a notebook (pid 7)"),
        (["/bin/python", "-u", "/home/ada/fit.py", "3"], "fit.py (pid 7)"),
        (["/bin/ipython"], "ipython (pid 7)"),
        ([], "process 7"),
    ],
)
def test_what_a_process_is_called(line: list[str], called: str) -> None:
    assert origin_of(7, line, {8: "x.ipynb"}) == called


def test_a_kernel_of_this_server_is_called_by_its_notebook() -> None:
    assert origin_of(7, ["/bin/python"], {7: "deep/train.ipynb"}) == "train.ipynb"
