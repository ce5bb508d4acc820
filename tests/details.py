"""Details written by hand, shared by the tests of the detailed screens."""

from __future__ import annotations

from nbray import details as d
from nbray.events import CellView, NodeCounts
from nbray.ids import DRIVER_FLAG, client_id

EVERYTHING = d.TASKS | d.OBJECTS | d.ACTORS | d.TEXTS
STATES = ("waiting", "queued", "sent", "running", "done", "failed", "cancelled")
"""Of tasks, by number."""
DRIVER = client_id(1, DRIVER_FLAG | 7)
NOW = 1_000.0


def worker(node: int, number: int = 0) -> int:
    return client_id(node, 2 + number)


def task(seq: int, state: int = d.DONE, name: str = "segment", **more: object) -> d.TaskRecord:
    """One task of DRIVER's cell 'c'."""
    values: dict[str, object] = {
        "owner": DRIVER, "seq": seq, "name": name, "cell": "c", "job": DRIVER, "state": state,
    }  # fmt: skip
    if state >= d.RUNNING:
        values |= {"worker": worker(1), "started": NOW - 2}
    if state >= d.DONE:
        values["ended"] = NOW - 1
    return d.TaskRecord(**{**values, **more})  # type: ignore[arg-type]


def many(tasks: int = 10_000, nodes: int = 200, **more: object) -> d.Details:
    """That many tasks in all states on workers of that many nodes."""
    states = [d.DONE] * 6 + [d.FAILED, d.RUNNING, d.QUEUED, d.WAITING]
    return details(
        tasks=tuple(
            task(
                seq,
                states[seq % 10],
                f"function{seq % 7}",
                worker=worker(1 + seq % nodes) if states[seq % 10] not in (d.QUEUED, d.WAITING)
                else 0,
                started=NOW - 1 - seq % 600 if states[seq % 10] >= d.RUNNING else 0.0,
                ended=NOW - 0.5 - seq % 600 if states[seq % 10] >= d.DONE else 0.0,
                why="ValueError: bad" if states[seq % 10] == d.FAILED else "",
            )
            for seq in range(tasks)
        ),
        processes=(
            d.ProcessRecord(DRIVER, 70, True),
            *(d.ProcessRecord(worker(node), 1000 + node, False) for node in range(1, nodes + 1)),
        ),
        **more,
    )  # fmt: skip


def details(**more: object) -> d.Details:
    """A small cluster's details: one cell, whatever else is given."""
    view = CellView(
        "c", 100, (NodeCounts(1, "host1", done=40, running=2, failed=1),), NOW - 9, NOW - 1
    )
    values: dict[str, object] = {
        "cells": (d.CellRecord(DRIVER, view, "[3] sizes = segment(photos)"),),
        "processes": (d.ProcessRecord(DRIVER, 70, True), d.ProcessRecord(worker(1), 71, False)),
        "now": NOW,
        "me": client_id(1, DRIVER_FLAG | 99),
    }
    return d.Details(**{**values, **more})  # type: ignore[arg-type]
