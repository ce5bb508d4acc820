"""Which Python a notebook's kernel runs, and which notebook a process belongs to.

Owns the reading of a kernel's process and specification. Does not own kernels.
Rule: what counts is what runs, so the process comes before the specification,
and a path is kept as it was called: a virtual environment is known by it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from nbray.clusters.launcher import Interpreter, Refused


class Environment(msgspec.Struct, frozen=True):
    """What a cluster is started with."""

    interpreter: Interpreter
    name: str
    """What a user calls it: the kernel's display name."""


def own() -> Environment:
    """The Jupyter server's."""
    return Environment(
        Interpreter(sys.executable, dict(os.environ), str(Path.cwd())), "JupyterLab's own Python"
    )


def of_kernel(kernels: Any, key: str) -> Environment:
    """That of the running kernel *key* of the server's kernel manager.

    Raises:
        Refused: there is no such kernel, or not on this machine, or not a Python.
    """
    if key not in kernels:
        raise Refused("the notebook's kernel has ended: start it, then the cluster")
    manager = kernels.get_kernel(key)
    spec = manager.kernel_spec
    if spec is not None and str(spec.language).lower() != "python":
        raise Refused(
            f"the active notebook runs {spec.display_name}: open one that runs Python, or none"
        )
    process = kernel_pid(manager)
    python = python_of(lines_of(process)) if process else ""
    if not python and spec is not None:
        python = next((word for word in spec.argv[:1] if Path(word).is_absolute()), "")
    if not python:
        raise Refused(
            "the notebook's kernel does not run on this machine: use %nbray start in the notebook"
        )
    env = {**os.environ, **(spec.env if spec is not None else {})}
    name = spec.display_name if spec is not None else python
    return Environment(Interpreter(python, env, _cwd(process)), name)


def kernel_pid(manager: Any) -> int:
    """The process of a kernel's manager; 0 if it has none here."""
    provisioner = getattr(manager, "provisioner", None)
    return int(getattr(provisioner, "pid", None) or 0)


def _cwd(pid: int) -> str:
    try:
        return psutil.Process(pid).cwd() if pid else "/"
    except psutil.Error:
        return "/"


def lines_of(pid: int) -> list[list[str]]:
    """Command lines of process *pid* and its descendants: a kernel may have a wrapper."""
    found = []
    try:
        process = psutil.Process(pid)
        found.append(process.cmdline())
        found += [child.cmdline() for child in process.children(recursive=True)]
    except psutil.Error:
        pass  # it has just ended; what was read may do
    return found


def python_of(lines: Sequence[Sequence[str]]) -> str:
    """The absolute path of the Python among *lines* that runs a kernel; '' if none. Pure."""
    for line in lines:
        if line and Path(line[0]).is_absolute() and Path(line[0]).name.startswith("python"):
            return line[0]
    return ""


def origin_of(pid: int, line: Sequence[str], notebooks: Mapping[int, str]) -> str:
    """What a user calls the process *pid* with command *line*. Pure.

    *notebooks*: a kernel's process to its notebook's path.
    """
    if pid in notebooks:
        return notebooks[pid].rpartition("/")[2]
    if any("ipykernel" in word for word in line):
        return f"a notebook (pid {pid})"
    # behind the interpreter's own options: the script
    script = next((word for word in line[1:] if word.endswith(".py")), "")
    name = Path(script or (line[0] if line else "")).name
    return f"{name} (pid {pid})" if name else f"process {pid}"
