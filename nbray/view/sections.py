"""The sections of the dashboard: a name, what they need to know, their HTML.

Owns which section shows what. Does not own the page around them (`dashboard`).
Pure: the same snapshot, details and query give the same text.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nbray import details as d
from nbray import figures
from nbray.details import CellRecord, Details
from nbray.events import Snapshot
from nbray.view import groups, record_tables
from nbray.view.names import Names, cell_key, theirs
from nbray.view.output import context_html
from nbray.view.panel import panel, panel_html
from nbray.view.progress import progress_html
from nbray.view.render import render
from nbray.view.tables import Chip, Query, link, table_html
from nbray.view.tail import tail
from nbray.view.tasks import bars, tasks
from nbray.view.timeline import timeline_html

Draw = Callable[[Snapshot, Details, Names, Query], str]

CELLS = 12
"""Cells with a bar of their own on the overview."""
NODES = 24
"""Nodes that the overview lists."""
LINES = 1_000
"""Lines of output on the page."""
WIDE = 960
"""Pixels of the timeline."""
SPANS = {"1": 60.0, "5": 300.0, "30": 1800.0}
"""Minutes that the timeline shows."""


class Section(msgspec.Struct, frozen=True):
    """One section."""

    name: str
    title: str
    wanted: int
    """Bits of `nbray.details` that it needs."""
    searchable: str
    """What its search looks through ('': it has none)."""
    draw: Draw


def _overview(snapshot: Snapshot, details: Details, names: Names, _query: Query) -> str:
    if len(snapshot.nodes) > NODES:
        head = context_html(snapshot)
    else:
        head = panel_html(snapshot)
    cells = sorted(details.cells, key=lambda one: (one.view.finished, -one.view.started))
    cells = [one for one in cells if one.view.submitted]
    shown = [_bars(one, details, names) for one in cells[:CELLS]]
    rest = len(cells) - len(shown)
    return (
        head
        + render("cells", cells=shown, more=figures.noun(rest, "older cell") if rest else "")
        + table_html([record_tables.jobs(details, names), *record_tables.submitted(details)])
    )


def _bars(one: CellRecord, details: Details, names: Names) -> tuple[str, str, str]:
    view = one.view
    ended, took = view.done + view.failed, details.now - view.started
    rate = ended / took if took > 0.5 and not view.finished else 0.0
    where = link("tasks", Query(), cell=cell_key(one.driver, view.cell))
    return names.cell(one.driver, view.cell), where, progress_html(view, details.now, rate)


def _nodes(snapshot: Snapshot, details: Details, names: Names, query: Query) -> str:
    words = query.text.lower().split()
    everything = snapshot
    if words:
        kept = tuple(
            node
            for node in snapshot.nodes
            if all(word in f"{node.name} {node.address}".lower() for word in words)
        )
        snapshot = msgspec.structs.replace(snapshot, nodes=kept)
    tables = [
        *record_tables.resources(snapshot), *groups.table(everything, details, names, query),
        *record_tables.environments(details, names), record_tables.workers(details, names, query),
    ]  # fmt: skip
    return panel_html(snapshot) + table_html(tables)


def _tasks(_snapshot: Snapshot, details: Details, names: Names, query: Query) -> str:
    views = [
        Chip("each", "", link("tasks", query, by="", sort=""), not query.by),
        Chip("by function", "", link("tasks", query, by="function", sort=""),
             query.by == "function"),
        Chip("by cell", "", link("tasks", query, by="cell", sort=""), query.by == "cell"),
    ]  # fmt: skip
    return render("views", views=views, label="Show tasks") + table_html(
        tasks(details, names, query)
    )


def _actors(_snapshot: Snapshot, details: Details, names: Names, query: Query) -> str:
    return table_html(record_tables.actors(details, names, query))


def _objects(_snapshot: Snapshot, details: Details, names: Names, query: Query) -> str:
    return table_html(record_tables.objects(details, names, query))


def _logs(_snapshot: Snapshot, details: Details, names: Names, query: Query) -> str:
    words = query.text.lower().split()
    shown, more = tail(details, names, LINES, query.cell, words)
    cells = dict.fromkeys((piece.job, piece.cell) for piece in details.texts)
    chips = [Chip("all cells", "", link("logs", query, cell=""), not query.cell)]
    chips += [
        Chip(names.cell(*key), "", link("logs", query, cell=cell_key(*key)),
             query.cell == cell_key(*key))
        for key in list(cells)[-12:]
    ]  # fmt: skip
    note = f"the last {figures.count(LINES)} lines" if more else figures.noun(len(shown), "line")
    return render("logs", lines=shown, note=note, chips=chips if len(cells) > 1 else [])


def _timeline(_snapshot: Snapshot, details: Details, names: Names, query: Query) -> str:
    found = bars(details, names, query)
    minutes = SPANS.get(query.state)
    last = max((bar.end for bar in found), default=details.now)
    start = last - minutes if minutes else None
    if start is not None:
        start = max(start, min((bar.start for bar in found), default=start))
    views = [
        Chip(name, "", link("timeline", query, state=key), query.state == key)
        for key, name in (
            ("", "everything"), ("30", "30 minutes"), ("5", "5 minutes"), ("1", "1 minute"),
        )
    ]  # fmt: skip
    cells = dict.fromkeys((task.job, task.cell) for task in details.tasks if task.started)
    filters = [Chip("all cells", "", link("timeline", query, cell=""), not query.cell)]
    filters += [
        Chip(names.cell(*key), "", link("timeline", query, cell=cell_key(*key)),
             query.cell == cell_key(*key))
        for key in list(cells)[:12]
    ]  # fmt: skip
    head = render("views", views=views, label="Time shown")
    if len(cells) > 1:
        head += render("views", views=filters, label="Cell")
    return head + render("card", html=timeline_html(found, start, width=WIDE))


SECTIONS: dict[str, Section] = {
    one.name: one
    for one in (
        Section("overview", "Overview", 0, "", _overview),
        Section("nodes", "Nodes", d.TASKS | d.ACTORS, "nodes by name or address", _nodes),
        Section("tasks", "Tasks", d.TASKS, "function, cell, worker, error", _tasks),
        Section("actors", "Actors", d.ACTORS | d.TASKS, "class, name, worker, cell", _actors),
        Section("objects", "Objects", d.OBJECTS, "task, owner, node", _objects),
        Section("logs", "Logs", d.TEXTS, "text, function, node", _logs),
        Section("timeline", "Timeline", d.TASKS, "function, cell, worker", _timeline),
    )
}


def section_html(name: str, snapshot: Snapshot, details: Details, query: Query) -> str:
    """The HTML of section *name*, without the style sheet that the page has already."""
    section, details = SECTIONS[name], theirs(details)
    return bare(section.draw(snapshot, details, Names(snapshot, details), query))


def head_html(snapshot: Snapshot, ended: bool = False) -> str:
    """The line at the top of every section."""
    what = panel(snapshot, ended)
    return bare(render("head", panel=what))


def bare(html: str) -> str:
    """*html* without its style sheets."""
    parts = html.split("<style>")
    return parts[0] + "".join(part.partition("</style>")[2] for part in parts[1:])
