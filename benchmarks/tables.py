"""Figures as text: the table in the terminal and the one in docs/performance.md.

Owns medians, spreads, ratios, and whether a target is met. Pure but for `write`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from benchmarks.rows import ASYNC, BUDGET, JOBS, LIMITS, MAP, POOLS, SYNC, Row
from benchmarks.running import Book

HEAD = ("row", "unit", "nbray", "spread", "Ray", "spread", "ratio", "asked", "")
JOB_HEAD = ("job", "unit", "nbray", "ray", "dask", "loky", "serial", "over serial", "first")


def text(value: float) -> str:
    """Three digits, thousands apart."""
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values: list[float]) -> str:
    """Lowest and highest."""
    return f"{text(min(values))} to {text(max(values))}" if len(values) > 1 else ""


def ratio(row: Row, book: Book) -> float | None:
    """How much better than Ray: the median over its median, upside down for costs."""
    ours, theirs = book.of(row.name, "nbray"), book.of(row.name, "ray")
    if not ours or not theirs:
        return None
    mine, other = statistics.median(ours), statistics.median(theirs)
    if row.lower_is_better:
        mine, other = other, mine
    return mine / other if other else None


def verdict(row: Row, book: Book) -> str:
    """'met', 'missed', or '' where nothing is asked or it cannot be said."""
    ours = book.of(row.name, "nbray")
    if not ours or (row.times is None and row.bound is None):
        return ""
    met = True
    if row.times is not None:
        found = ratio(row, book)
        if found is None:
            return ""
        met = found >= row.times
    if row.bound is not None:
        mine = statistics.median(ours)
        met = met and (mine <= row.bound if row.lower_is_better else mine >= row.bound)
    return "met" if met else "**missed**"


def asked(row: Row) -> str:
    """The target in words."""
    parts = []
    if row.times is not None:
        parts.append(f"{text(row.times)} x")
    if row.bound is not None:
        parts.append(f"{'under' if row.lower_is_better else 'at least'} {text(row.bound)}")
    return ", ".join(parts)


def cells(row: Row, book: Book) -> tuple[str, ...]:
    """One row of the table."""
    ours, theirs = book.of(row.name, "nbray"), book.of(row.name, "ray")
    found = ratio(row, book)
    return (
        row.name,
        row.unit,
        text(statistics.median(ours)) if ours else "",
        spread(ours) if ours else "",
        text(statistics.median(theirs)) if theirs else "",
        spread(theirs) if theirs else "",
        f"{text(found)} x" if found is not None else "",
        asked(row),
        verdict(row, book),
    )


def lines(rows: Iterable[tuple[str, ...]], head: tuple[str, ...]) -> str:
    """A table for a terminal."""
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def markdown(rows: Iterable[tuple[str, ...]], head: tuple[str, ...]) -> str:
    """A table for a page."""
    rule = tuple("---" if i < 2 else "---:" for i in range(len(head)))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def pools(book: Book) -> list[tuple[str, ...]]:
    """The async and sync rows, and the map, beside the other pools."""
    found = []
    for system in ("nbray", "ray", *POOLS):
        figures = [book.of(row, system) for row in (ASYNC, SYNC, MAP)]
        if any(figures):
            found.append((system, *(text(statistics.median(f)) if f else "" for f in figures)))
    return found


def jobs(book: Book) -> list[tuple[str, ...]]:
    """The jobs: each system's seconds, who was first, and how often nbray's fit into serial's."""
    found = []
    for row in JOBS:
        seconds = {
            system: statistics.median(values)
            for system in ("nbray", "ray", "dask", "loky", "serial")
            if (values := book.of(row.name, system))
        }
        if len(seconds) > 2 and "nbray" in seconds:
            times = seconds.get("serial", 0.0) / seconds["nbray"]
            pools = [system for system in seconds if system != "serial"]
            found.append((
                row.name.removeprefix("job: "), "s",
                *(text(seconds[one]) if one in seconds else "" for one in JOB_HEAD[2:7]),
                f"{times:.2f} x", min(pools, key=seconds.__getitem__),
            ))  # fmt: skip
    return found


def derived(book: Book) -> list[tuple[str, ...]]:
    """What is asked of two rows together."""
    found = []

    def median(row: str, system: str = "nbray") -> float | None:
        values = book.of(row, system)
        return statistics.median(values) if values else None

    small, large = median("time per task at 1,000"), median("time per task at 1,000,000")
    if small and large:
        found.append(("time per task, 1,000,000 against 1,000", f"{large / small:.2f} x",
                      "at most 1.3 x",
                      "met" if large <= 1.3 * small else "**missed**"))  # fmt: skip
    near = median("tasks async over one namespace, local")
    far = median("tasks async over two namespaces, encrypted")
    if near and far:
        found.append(("two encrypted namespaces against one", f"{100 * far / near:.0f} %",
                      "at least 50 %", "met" if 2 * far >= near else "**missed**"))  # fmt: skip
    for row in (ASYNC, SYNC):
        mine = median(row)
        local = [(median(row, system) or 0.0, system) for system in POOLS[:3]]
        best, system = max(local)
        if mine and best:
            found.append((f"{row} against the fastest local pool ({system})",
                          f"{mine / best:.2f} x", "at least 1 x",
                          "met" if mine >= best else "**missed**"))  # fmt: skip
    return found


def page(groups: list[tuple[str, tuple[Row, ...]]], book: Book, about: str) -> str:
    """What stands between the markers of docs/performance.md."""
    parts = [about]
    for title, rows in groups:
        shown = [cells(row, book) for row in rows if book.of(row.name, "nbray")]
        if shown:
            parts += [f"### {title}", markdown(shown, HEAD)]
    found = derived(book)
    if found:
        parts += ["### Two figures together", markdown(found, ("what", "", "asked", ""))]
    beside = pools(book)
    if len(beside) > 2:
        parts += ["### Beside other pools (tasks, or items, a second)",
                  markdown(beside, ("system", ASYNC, SYNC, MAP))]  # fmt: skip
    done = jobs(book)
    if done:
        parts += ["### Whole jobs, two processes each", markdown(done, JOB_HEAD)]
    budget = [
        (row.name.removeprefix("budget: "), text(statistics.median(values)), spread(values))
        for row in BUDGET if (values := book.of(row.name, "nbray"))
        and (statistics.median(values) >= 0.05 or "," not in row.name)
    ]  # fmt: skip
    if budget:
        parts += ["### Where the microseconds of a task go (one worker, batches of 1,000)",
                  markdown(budget, ("what", "µs a task", "spread"))]  # fmt: skip
    raw = [
        (row.name.removeprefix("limit: "), row.unit, text(statistics.median(values)),
         spread(values))
        for row in LIMITS if (values := book.of(row.name, "limits"))
    ]  # fmt: skip
    if raw:
        parts += ["### Raw limits", markdown(raw, ("what", "unit", "median", "spread"))]
    if book.notes:
        parts += ["Notes of the run:", "\n".join(f"- {note}" for note in book.notes)]
    return "\n\n".join(parts)


def write(path: Path, new: str) -> None:
    """Replace what stands between the markers; the prose around them stays.

    Raises:
        ValueError: the page has no markers.
    """
    start, end = "<!-- figures: `make bench` writes these -->", "<!-- end of figures -->"
    old = path.read_text()
    before, found, rest = old.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path} has no place for the figures")
    path.write_text(f"{before}{start}\n\n{new}\n\n{end}{after}")
