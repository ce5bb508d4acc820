"""The receipt of a cell: what its work took, what it gained, what would make it faster.

Owns the figures' meaning and the advice. Does not own when it is shown. Pure.

Words. *Serial* is what the tasks took, one after the other; the speed-up is that
over the time from the first submission to the last end, less what passed before
anything could run, as other work had the workers, or nothing was ready. *Overhead* is the part
of the workers' time in which no task ran, or data was moved. Both are left out where
tasks waited for tasks of their own, for then a task's time is not its work. *Held* is for
how long tasks waited for a CPU that others had: it is not work either, and nobody
gains more than there are CPUs.
"""

from __future__ import annotations

import msgspec

from nbray import figures
from nbray.events import CellView
from nbray.view.render import render

LEAST_SECONDS = 1.0
"""Work that took less is not worth a line."""
TINY = 0.002
"""Seconds below which a task costs about as much as it does."""
BATCH = 0.03
"""Seconds of work that one message should hold."""
WAITED = 1.0
"""Seconds that passed before the first task ran from which on that is said."""
HELD = 0.15
"""The part of the tasks' time for which they waited for a CPU, from which on that is said."""
MOVED = 0.1
"""The part of it that the moving of data took beside it, likewise."""
ROWS = 12
"""Nodes that are listed."""


class NodeShare(msgspec.Struct, frozen=True):
    """One node's part."""

    name: str
    tasks: str
    work: str
    percent: float


class Receipt(msgspec.Struct, frozen=True):
    """What the receipt says, before it is HTML or text."""

    summary: str
    failed: str
    hint: str
    """The advice in a few words."""
    advice: str
    """The advice in a sentence."""
    notes: tuple[str, ...]
    rows: tuple[NodeShare, ...]


def receipt(cell: CellView, asked: bool = False) -> Receipt | None:
    """The receipt of *cell*; None while it is not finished or not worth a line.

    With *asked* short work gets one as well.
    """
    wall = cell.updated - cell.started
    tasks = cell.submitted
    few = tasks < 2 and not cell.yielded
    if not cell.finished or not cell.measured or not cell.work or few:
        return None
    if wall < LEAST_SECONDS and not asked:
        return None
    waited = cell.began - cell.started if cell.began else 0.0
    waited = waited if waited >= WAITED else 0.0
    wall = max(wall - waited, 1e-6)
    work = serial(cell)
    ended = cell.done + cell.failed - cell.cancelled
    workers = max(1, min(cell.workers, ended))
    at_once = min(workers, cell.cpus) if cell.cpus >= 1 else workers
    mean = work / max(1, ended)
    idle = max(0.0, 1 - (work + cell.moved) / (wall * at_once))
    hint, advice = _advice(cell, mean, idle, wall, workers)
    nodes = max(1, len(cell.nodes))
    where = f"{figures.noun(tasks, 'task')} on {figures.noun(nodes, 'node')}"
    before = f" after {figures.duration(waited)} of waiting" if waited else ""
    parts = [f"{where} in {figures.duration(wall)}{before}"]
    if cell.yielded:
        parts[0] += f", {figures.noun(cell.yielded, 'value')} yielded"
    if cell.cpu >= 0.05:
        parts.append(f"{figures.duration(cell.cpu)} of CPU")
    if not cell.nested:
        gain = (work - _held(cell, work)) / wall
        gain = min(gain, cell.cpus) if cell.cpus else gain
        parts.append(f"{figures.brief(gain)}× serial")
        if not _held_back(cell, mean, wall, workers):
            parts.append(f"{round(100 * idle)} % overhead")
    failed = cell.failed - cell.cancelled
    if cell.remade:
        parts.append(f"{figures.count(cell.remade)} run again for what was lost")
    bad = [f"{figures.count(failed)} failed"] if failed else []
    if cell.cancelled:
        bad.append(f"{figures.count(cell.cancelled)} cancelled")
    return Receipt(
        " · ".join(parts), " · ".join(bad), hint, advice, tuple(_notes(cell, work, mean, workers)),
        _rows(cell),
    )  # fmt: skip


def serial(cell: CellView) -> float:
    """Seconds that all tasks took; those that were not measured count as the others did."""
    alone = cell.done + cell.failed - cell.cancelled - cell.items
    if cell.items or alone <= cell.measured:
        return cell.work
    return cell.work * alone / cell.measured


def _held_back(cell: CellView, mean: float, wall: float, workers: int) -> bool:
    """Whether one task ran on while the others had ended."""
    return (
        not cell.nested
        and workers > 1
        and cell.measured > workers
        and cell.longest > 3 * mean
        and cell.longest > 0.4 * wall
        and cell.updated - cell.longest_end < 0.1 * wall
    )


def _held(cell: CellView, work: float) -> float:
    """Seconds for which the tasks waited for a CPU; 0 if that is not worth a word."""
    held = min(cell.held, work - min(cell.cpu, work))
    return held if held >= HELD * work and held >= 0.5 else 0.0


def _delays(cell: CellView, work: float) -> tuple[str, str]:
    """What came between the tasks and their work: others on the CPUs, data that was moved."""
    held = _held(cell, work)
    if held:
        cpu, waited = figures.duration(cell.cpu), figures.duration(held)
        return "held back by other work on the CPUs", (
            f"The tasks had {cpu} of CPU and waited {waited} for more: other programs were on the "
            "same CPUs, or more tasks ran at a time than the machine has cores."
        )
    if cell.moved >= MOVED * work and cell.moved >= 0.5:
        moved = figures.duration(cell.moved)
        return f"{moved} of moving data", (
            f"Workers waited {moved} in all for data from other nodes, which is not in the times "
            "of the tasks: send less, or put once what many of them need."
        )
    return "", ""


def _advice(
    cell: CellView, mean: float, idle: float, wall: float, workers: int
) -> tuple[str, str]:
    delays = _delays(cell, serial(cell))
    if cell.nested or delays[0]:
        return delays
    if _held_back(cell, mean, wall, workers):
        where = f" on {figures.plain(cell.longest_node)}" if len(cell.nodes) > 1 else ""
        took, times = figures.duration(cell.longest), figures.brief(cell.longest / mean)
        sentence = (
            f"One task took {took}{where}, {times} times the average, and the end waited for it: "
            "start it first, or split it."
        )
        return f"one task of {took} held the rest back", sentence
    if mean < TINY and idle > 0.3 and not cell.items and cell.measured >= 100:
        size = _round(BATCH / max(mean, 1e-6))
        sentence = (
            f"A task takes {_short(mean)}, about what sending one costs. Send "
            f"{figures.count(size)} at a time: nbray.util.map does it for you."
        )
        return f"tasks too small: batch by {figures.count(size)}", sentence
    return "", ""


def _round(number: float) -> int:
    """A round number of that size, 10 to 5,000."""
    for size in (10, 20, 50, 100, 200, 500, 1_000, 2_000):
        if number <= size * 1.5:
            return size
    return 5_000


def _short(seconds: float) -> str:
    """Durations down to microseconds."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{figures.brief(seconds * 1e3)} ms"
    return figures.duration(seconds)


def _notes(cell: CellView, work: float, mean: float, workers: int) -> list[str]:
    busy = f"{figures.noun(workers, 'worker')} ran for {figures.duration(work)} in all"
    if cell.nested:
        return [f"{figures.count(cell.nested)} of these were launched by other tasks."]
    if cell.items:
        return [f"{busy}, {_short(mean)} for each item; items travelled many at a time."]
    where = f" on {figures.plain(cell.longest_node)}" if len(cell.nodes) > 1 else ""
    return [f"{busy}: {_short(mean)} for each task, {_short(cell.longest)} for the longest{where}."]


def _rows(cell: CellView) -> tuple[NodeShare, ...]:
    if cell.nested:
        return ()
    most = max((node.work for node in cell.nodes), default=0.0)
    if len(cell.nodes) < 2 or not most:
        return ()
    shown = sorted(cell.nodes, key=lambda node: -node.work)[:ROWS]
    return tuple(
        NodeShare(
            figures.plain(node.name),
            figures.noun(node.done + node.failed, "task"),
            figures.duration(node.work),
            round(figures.percent(node.work, most), 1),
        )
        for node in shown
    )


def receipt_html(what: Receipt) -> str:
    """A folded line, as HTML without scripts or outside resources."""
    return render("receipt", receipt=what)


def receipt_text(what: Receipt) -> str:
    """The line, and the advice below it."""
    line = "Receipt: " + " · ".join(part for part in (what.summary, what.failed) if part)
    return f"{line}\n{what.advice}" if what.advice else line
