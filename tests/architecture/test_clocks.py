"""What runs over a client's loop has its time from that loop, so that the simulation can run it."""

from __future__ import annotations

import ast
from pathlib import Path

from architecture.sources import parsed

SHELL = Path(__file__).resolve().parents[2] / "nbray/runtime/shell"
CLOCKS = {"monotonic", "perf_counter", "sleep"}
LOOPS = {"loop.py", "quick_look.py", "registering.py", "callbacks.py"}
"""What the simulation has its own of."""
EXECUTING = {"executor.py", "functions.py", "returns.py"}
RUN = [
    *(path for path in sorted((SHELL / "client").glob("*.py")) if path.name not in LOOPS),
    *(path for path in sorted((SHELL / "worker").glob("*.py")) if path.name in EXECUTING),
]


def test_only_the_loop_looks_at_the_clock() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in RUN
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr in CLOCKS) == ("time", True)
    ]
    assert found == []
    assert len(RUN) > 10


def test_only_the_loop_and_the_callbacks_make_threads() -> None:
    found = [
        path.name
        for path in RUN
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr == "Thread"
    ]
    assert found == []
