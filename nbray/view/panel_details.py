"""What the panel opens on request: jobs by cell, actors, the last lines printed.

Owns which of them there are, and how many rows of each a notebook shows; the
dashboard has them all. Does not own the records (`nbray.details`), nor the style
sheet, which the table above it brings. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nbray import details as d
from nbray import figures
from nbray.details import CellRecord, Details
from nbray.events import Snapshot
from nbray.view import groups, record_tables
from nbray.view.names import Names, theirs
from nbray.view.render import render_exact
from nbray.view.tables import Cell, Column, Query
from nbray.view.tail import TailLine, tail

ROWS = 20
LINES = 100


class Inside(msgspec.Struct, frozen=True):
    """One of them, before it is HTML."""

    title: str
    note: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    lines: tuple[TailLine, ...] = ()


class Kind(msgspec.Struct, frozen=True):
    """What there is to open."""

    title: str
    wanted: int
    """Bits of `nbray.details` that it needs."""
    tip: str
    draw: Callable[[Details, Names, Snapshot], Inside]


def _jobs(details: Details, names: Names, _snapshot: Snapshot) -> Inside:
    cells = [one for one in details.cells if one.view.submitted]
    cells.sort(key=lambda one: (one.view.finished, -one.view.started))
    running = sum(not one.view.finished for one in cells)
    note = f"{figures.noun(len(cells), 'cell')}, {running} running" if cells else ""
    notebooks = {one.driver for one in cells if one.view.cell}
    several = len({one.driver for one in cells}) > 1
    columns = ("cell", "state"), ("tasks", "running", "queued", "done", "failed")
    return Inside(
        "Jobs by cell",
        _more(note, len(cells)) or "no cell has launched work yet",
        (*map(Column, columns[0]), *(Column(name, True) for name in columns[1])),
        tuple(_cell(one, details, names, several, one.driver in notebooks) for one in cells[:ROWS]),
    )


def _cell(
    one: CellRecord, details: Details, names: Names, several: bool, notebook: bool
) -> tuple[Cell, ...]:
    view = one.view
    pid = names.pid(one.driver) if several and view.cell else 0
    crashed = view.failed - view.cancelled
    state, tone = ("running", "run") if not view.finished else ("done", "soft")
    if view.finished and view.failed:
        state, tone = ("failed", "bad") if crashed else ("cancelled", "soft")
    took = (view.updated if view.finished else details.now) - view.started
    counts = (view.submitted, view.running, view.queued, view.done)
    return (
        Cell(
            # what nbray itself asks of new nodes, or a thread of the user's own
            names.cell(one.driver, view.cell) if view.cell or not notebook else "outside any cell",
            sub=f"pid {pid}" if pid else "",
        ),
        Cell(state, sub=figures.duration(took), tone=tone),
        *(Cell(figures.count(number)) for number in counts),
        Cell(
            figures.count(crashed),
            sub=f"{figures.count(view.cancelled)} cancelled" if view.cancelled else "",
            tone="bad" if crashed else "",
        ),
    )


def _more(note: str, count: int) -> str:
    return f"{note} · the first {ROWS} are listed" if count > ROWS else note


def _actors(details: Details, names: Names, _snapshot: Snapshot) -> Inside:
    (table,) = record_tables.actors(details, names, Query())
    living = sum(d.ACTOR_STATES[one.state] != "dead" for one in details.actors)
    note = f"{living} of {figures.noun(len(details.actors), 'actor')} alive" if table.rows else ""
    return Inside(
        "Actors",
        _more(note, len(details.actors)) or "no actor has been made yet",
        table.columns,
        table.rows[:ROWS],
    )


def _logs(details: Details, names: Names, _snapshot: Snapshot) -> Inside:
    lines, more = tail(details, names, LINES)
    note = f"the last {LINES} lines" if more else figures.noun(len(lines), "line")
    return Inside(
        "Logs", note if lines else "nothing has been printed of late", lines=tuple(lines)
    )


def _groups(details: Details, names: Names, snapshot: Snapshot) -> Inside:
    rows = groups.rows(snapshot, details, names)
    return Inside(
        "Placement groups",
        _more(groups.note(details), len(rows)) or "no placement group is there",
        groups.COLUMNS, tuple(rows[:ROWS]),
    )  # fmt: skip


KINDS: dict[str, Kind] = {
    "jobs": Kind("Jobs", 0, "Show which cell has which tasks", _jobs),
    "actors": Kind("Actors", d.ACTORS | d.TASKS, "Show the actors", _actors),
    "groups": Kind("Groups", d.ACTORS, "Show the placement groups", _groups),
    "logs": Kind("Logs", d.TEXTS, "Show what tasks have printed last", _logs),
}


def details_html(kind: str, snapshot: Snapshot, details: Details) -> str:
    """The HTML of *kind* (a key of `KINDS`), without scripts, links or outside resources."""
    details = theirs(details)
    names = Names(snapshot, details)
    return render_exact("panel_details", what=KINDS[kind].draw(details, names, snapshot))
