"""Run the programs, each as a whole process, the systems in alternation.

Owns repetition, time-outs and notes on how busy the machine was. Does not own
figures' meaning (`rows`) or their looks (`tables`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.rows import Group, Row

PROGRAMS = Path(__file__).parent / "programs"
PACKAGES = {"dask": "distributed"}
"""Systems whose module has another name than they."""
WITHOUT = {"nbray", "limits", "serial", "concurrent.futures", "multiprocessing.Pool"}
"""Systems that are always there."""


@dataclass
class Book:
    """What was measured: figures by (row, system), and what went wrong or stood in the way."""

    figures: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """Percent of the machine that others used, looked at before each process."""

    def of(self, row: str, system: str) -> list[float]:
        """The values of one row, empty if it was not measured."""
        return self.figures.get((row, system), [])

    def as_json(self) -> dict[str, Any]:
        """For the artifact."""
        return {
            "figures": [
                {"row": row, "system": system, "values": values}
                for (row, system), values in self.figures.items()
            ],
            "notes": self.notes,
            "busy_percent": self.busy,
        }


def missing(system: str) -> bool:
    """Whether a peer is not installed in this environment."""
    package = PACKAGES.get(system, system)
    return system not in WITHOUT and importlib.util.find_spec(package) is None


def measure(
    plan: Sequence[tuple[Group, tuple[Row, ...]]],
    systems: set[str] | None,
    runs: int,
    book: Book,
    done: Callable[[Group, str, int], None],
) -> None:
    """Run every group of *plan* *runs* times for each of its systems: A B A B ..."""
    for group, rows in plan:
        chosen = [s for s in group.systems if systems is None or s in systems]
        for system in [s for s in chosen if missing(s)]:
            book.notes.append(f"{system} is not installed here")
            chosen.remove(system)
        for run in range(min(runs, group.runs or runs)):
            for system in chosen:
                _once(group, rows, system, book)
                done(group, system, run)


def _once(group: Group, rows: tuple[Row, ...], system: str, book: Book) -> None:
    book.busy.append(psutil.cpu_percent(0.3))
    names = [] if rows == group.rows else [row.name for row in rows]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore",
                   "OMP_NUM_THREADS": "1"}  # fmt: skip
    environment.pop("NBRAY_ADDRESS", None)
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / group.program), system, *names],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=900)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            book.notes.append(f"{group.name}: {system} was stopped after 900 s")
        if process.returncode:
            errors.seek(0)
            last = errors.read().strip().splitlines()[-1:] or ["nothing was said"]
            book.notes.append(f"{group.name}: {system} ended with {process.returncode}: {last[0]}")
    for line in printed.splitlines():
        if line.startswith('{"row"'):
            found = json.loads(line)
            book.figures.setdefault((found["row"], system), []).append(found["value"])
        elif line.startswith("NOTE "):
            book.notes.append(f"{group.name}: {line[5:]}")
