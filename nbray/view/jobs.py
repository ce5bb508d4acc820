"""Named background jobs as a table. Pure.

Owns the wording of a job's state and progress. Does not own finding them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbray.details import JobRecord, JobState
from nbray.figures import count, duration, noun
from nbray.view.render import render

NONE = 'no named jobs: %%remote --bg --name train starts one, nbray.fetch("train") gets its result'
_TONES = {
    JobState.FAILED: "nbray-dot-bad", JobState.STOPPED: "nbray-dot-bad",
    JobState.LOST: "nbray-dot-bad", JobState.WAITING: "nbray-dot-off",
}  # fmt: skip


class JobRow(msgspec.Struct, frozen=True):
    """One job."""

    name: str
    tone: str
    state: str
    line: str
    started: str
    took: str
    progress: str
    node: str


def _row(job: JobRecord, now: float) -> JobRow:
    view = job.view
    state: str = job.state
    if job.state in {JobState.DONE, JobState.FAILED}:
        state += ", fetched" if job.fetched else ", not fetched"
    progress = f"{count(view.done)} of {count(view.submitted)}"
    if job.state is JobState.LOST:
        progress = ""  # who counted them is gone
    elif view.failed:
        progress += f", {noun(view.failed, 'failed', 'failed')}"
    return JobRow(
        job.name, _TONES.get(job.state, ""), state, job.line, f"{duration(now - job.started)} ago",
        duration(job.seconds), progress, job.node,
    )  # fmt: skip


def jobs_html(jobs: Sequence[JobRecord], now: float) -> str:
    """The table; *now*: seconds since the epoch."""
    rows = [_row(job, now) for job in jobs]
    return render("jobs", rows=rows, heading=noun(len(rows), "job"), empty=NONE)


def jobs_text(jobs: Sequence[JobRecord], now: float) -> str:
    """The same as text."""
    if not jobs:
        return NONE
    rows = [_row(job, now) for job in jobs]
    table = [("name", "state", "first line", "started", "took", "tasks done", "node")]
    table += [
        (row.name, row.state, row.line[:40], row.started, row.took, row.progress, row.node)
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )
