"""The quickstart, over and over in one kernel: nothing grows.

`make again` makes all 200 runs (about 20 minutes); the suite makes a few.
`NBRAY_TEST_RUNS` sets the number.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterator

import msgspec
import nbformat
import pytest
from e2e.front import Front
from harness import ARTIFACTS, ROOT
from jupyter_client.manager import start_new_kernel

RUNS = int(os.environ.get("NBRAY_TEST_RUNS", "7"))
WARM = 3
"""Runs after which imports, caches and pools have their size."""
QUICKSTART = ROOT / "notebooks" / "quickstart.ipynb"
LOOK = """
def _look():
    import gc, json, os, pathlib, threading, psutil
    gc.collect()
    me = psutil.Process()
    own = pathlib.Path("/proc/self")
    segments = sum("memfd:" in line for line in (own / "maps").read_text().splitlines())
    return json.dumps({
        "processes": len(me.children(recursive=True)), "descriptors": me.num_fds(),
        "segments": segments, "threads": threading.active_count(),
        "os_threads": me.num_threads(), "memory": me.memory_full_info().uss,
    })
"""


class Look(msgspec.Struct, frozen=True):
    """The kernel, after a run."""

    processes: int
    descriptors: int
    segments: int
    threads: int
    os_threads: int
    memory: int
    """Bytes that only it uses."""


def code_cells() -> list[str]:
    notebook = nbformat.read(QUICKSTART, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def front() -> Iterator[Front]:
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(QUICKSTART.parent))
    front = Front(manager, client)
    try:
        front.run(LOOK)
        yield front
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def look(front: Front) -> Look:
    answer = front.run("print(_look())")
    assert not answer.error, answer.traceback
    return msgspec.json.decode(answer.text, type=Look)


def once(front: Front, cells: list[str]) -> Look:
    """One run of the quickstart, and what the kernel holds after it."""
    for cell in cells:
        answer = front.run(cell)
        assert not answer.error, answer.traceback
    front.answers.clear()
    return look(front)


@pytest.mark.slow
@pytest.mark.timeout(60 + 30 * RUNS)
def test_runs_of_the_quickstart_leave_nothing(front: Front) -> None:
    cells = code_cells()
    seen = []
    ARTIFACTS.mkdir(exist_ok=True)
    for _ in range(RUNS):
        seen.append(once(front, cells))
        record = [msgspec.to_builtins(one) for one in seen]
        (ARTIFACTS / "again.json").write_text(json.dumps(record, indent=1))
    first, last = seen[WARM - 1], seen[-1]
    for trait in ("processes", "descriptors", "segments", "threads", "os_threads"):
        counts = [getattr(one, trait) for one in seen]
        assert getattr(last, trait) <= getattr(first, trait), f"{trait}: {counts}"
    assert last.processes == 0
    early = statistics.median(one.memory for one in seen[WARM - 1 : WARM + RUNS // 10 + 1])
    late = statistics.median(one.memory for one in seen[-(RUNS // 10 + 1) :])
    assert late <= 1.05 * early, [one.memory for one in seen]
