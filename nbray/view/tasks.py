"""The tasks of the cluster: searched, by state, by cell, by function.

Owns what the list says and how it is ordered: running first, then what waits,
then what ended last. Does not own the records. Rule: one page of rows is
rendered, whatever the number of tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from nbray import details as d
from nbray import figures
from nbray.details import Details, TaskRecord
from nbray.view.names import Names, cell_key
from nbray.view.tables import Cell, Chip, Column, Query, Table, link, pages
from nbray.view.timeline import Bar

GROUPS = {
    "running": (d.RUNNING,),
    "queued": (d.QUEUED, d.SENT),
    "waiting": (d.WAITING,),
    "done": (d.DONE,),
    "failed": (d.FAILED,),
    "cancelled": (d.CANCELLED,),
}
"""States as people tell them apart; 'sent' is queued at a worker."""
_GROUP_OF = {state: name for name, states in GROUPS.items() for state in states}
_TONE = {"running": "run", "failed": "bad", "done": "", "cancelled": "soft"}
_ORDER = {name: index for index, name in enumerate(GROUPS)}


def _wanted(details: Details, names: Names, query: Query) -> list[TaskRecord]:
    """Tasks that match all of *query* but its state."""
    found: Iterable[TaskRecord] = details.tasks
    if query.function:
        found = [task for task in found if task.name == query.function]
    if query.cell:
        found = [task for task in found if cell_key(task.job, task.cell) == query.cell]
    words = query.text.lower().split()
    if words:
        said: dict[tuple[int, str, int, str], str] = {}
        matching = []
        for task in found:
            key = (task.job, task.cell, task.worker, task.name)
            text = said.get(key)
            if text is None:
                cell, where = names.cell(task.job, task.cell), names.process(task.worker)
                text = said[key] = f"{task.name} {cell} {where}".lower()
            if task.why:
                text = f"{text} {task.why.lower()}"
            if all(word in text for word in words):
                matching.append(task)
        found = matching
    return list(found)


def tasks(details: Details, names: Names, query: Query) -> list[Table]:
    """The list, or sums by function or cell."""
    wanted = _wanted(details, names, query)
    counts = dict.fromkeys(GROUPS, 0)
    for task in wanted:
        counts[_GROUP_OF[task.state]] += 1
    counts["queued"] += details.unlisted if not (query.function or query.cell or query.text) else 0
    chips = [Chip("all", figures.count(sum(counts.values())), link("tasks", query, state=""),
                  not query.state)]  # fmt: skip
    chips += [
        Chip(name, figures.count(count), link("tasks", query, state=name), query.state == name)
        for name, count in counts.items()
        if count or name == query.state or name in {"running", "failed"}
    ]
    if query.state in GROUPS:
        states = GROUPS[query.state]
        wanted = [task for task in wanted if task.state in states]
    common = {"chips": tuple(chips), "filters": tuple(_filters(names, query))}
    if query.by in {"function", "cell"}:
        table = _sums(wanted, names, query)
    else:
        table = _list(wanted, details, names, query)
    return [msgspec.structs.replace(table, **common)]


def _filters(names: Names, query: Query) -> Iterable[Chip]:
    if query.function:
        yield Chip(f"function {query.function}", "", link("tasks", query, function=""), True)
    if query.cell:
        job, _, cell = query.cell.partition(":")
        number = int(job, 16) if job and all(c in "0123456789abcdef" for c in job) else 0
        said = names.cell(number, cell)
        yield Chip(f"cell {said}", "", link("tasks", query, cell=""), True)
    if query.text:
        yield Chip(f"“{query.text}”", "", link("tasks", query, text=""), True)


def _list(
    wanted: Sequence[TaskRecord], details: Details, names: Names, query: Query
) -> Table:
    now = details.now
    if query.sort == "took":
        ordered = sorted(wanted, key=lambda task: -_took(task, now))
    elif query.sort == "started":
        ordered = sorted(wanted, key=lambda task: -task.started)
    else:  # unfinished come as their owners queue them, ended ones latest first
        ordered = sorted(wanted, key=lambda task: _ORDER[_GROUP_OF[task.state]] if not task.ended
                         else len(_ORDER))  # fmt: skip
    first, last, others = pages("tasks", query, len(ordered))
    rows = tuple(_row(task, names, query, now) for task in ordered[first:last])
    note = [f"{figures.count(first + 1)} to {figures.count(last)} of {figures.count(len(ordered))}"]
    if not ordered:
        note = []
    if details.unlisted:
        note.append(f"{figures.count(details.unlisted)} more are queued and not listed")
    return Table(
        caption="Tasks",
        columns=(
            Column("function", link=link("tasks", query, by="function", sort="")),
            Column("state"),
            Column("cell", link=link("tasks", query, by="cell", sort="")),
            Column("worker"),
            Column("started", True, link("tasks", query, sort="started"), query.sort == "started"),
            Column("took", True, link("tasks", query, sort="took"), query.sort == "took"),
        ),
        rows=rows,
        note=" · ".join(note),
        empty="No task matches." if details.tasks else "No task has been launched yet.",
        pages=others,
    )


def _took(task: TaskRecord, now: float) -> float:
    if not task.started:
        return 0.0
    return max(0.0, (task.ended or now) - task.started)


def span(seconds: float) -> str:
    """Durations down to microseconds: `0.4 ms`, `12 ms`, `1.2 s`."""
    if seconds >= 0.95:
        return figures.duration(seconds)
    if seconds >= 0.001:
        return f"{figures.brief(seconds * 1000)} ms"
    return f"{round(seconds * 1e6)} µs"


def _row(task: TaskRecord, names: Names, query: Query, now: float) -> tuple[Cell, ...]:
    group = _GROUP_OF[task.state]
    state = "queued there" if task.state == d.SENT else group
    ago = f"{figures.duration(now - task.started)} ago" if task.started else ""
    if not ago and task.ended:
        state += ", not run" if not task.worker else ""
    took = span(_took(task, now)) if task.started else ""
    return (
        Cell(task.name, sub=task.why, link=link("tasks", query, function=task.name)),
        Cell(state, tone=_TONE.get(group, "soft")),
        Cell(
            names.cell(task.job, task.cell),
            link=link("tasks", query, cell=cell_key(task.job, task.cell)),
        ),
        Cell(names.process(task.worker), tone="soft"),
        Cell(ago, tone="soft"),
        Cell(took + (" so far" if took and not task.ended else "")),
    )


class _Sum:
    """Counts of one function or cell."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(GROUPS, 0)
        self.ran = 0
        self.took = 0.0
        self.longest = 0.0


def _sums(wanted: Sequence[TaskRecord], names: Names, query: Query) -> Table:
    """A row for each function, or each cell."""
    by_cell = query.by == "cell"
    sums: dict[tuple[str, str], _Sum] = {}
    for task in wanted:
        key = (cell_key(task.job, task.cell), names.cell(task.job, task.cell)) if by_cell \
            else (task.name, task.name)  # fmt: skip
        one = sums.get(key)
        if one is None:
            one = sums[key] = _Sum()
        one.counts[_GROUP_OF[task.state]] += 1
        if task.ended and task.started:
            took = task.ended - task.started
            one.ran += 1
            one.took += took
            one.longest = max(one.longest, took)
    ordered = sorted(sums.items(), key=lambda item: (-sum(item[1].counts.values()), item[0]))
    first, last, others = pages("tasks", query, len(ordered))
    rows = []
    for (name_of, said), one in ordered[first:last]:
        ended = one.ran
        where = link("tasks", query, by="", **{query.by: name_of})
        counts = [
            Cell(figures.count(count) if count else "", tone="bad" if name == "failed" else "")
            for name, count in one.counts.items()
        ]
        rows.append(
            (
                Cell(said, link=where),
                *counts,
                Cell(span(one.took / ended) if ended else ""),
                Cell(span(one.longest) if ended else ""),
            )
        )
    return Table(
        caption=f"Tasks by {query.by}",
        columns=(
            Column(query.by),
            *(Column(name, True) for name in GROUPS),
            Column("mean", True),
            Column("longest", True),
        ),
        rows=tuple(rows),
        note=figures.noun(len(ordered), query.by),
        empty="No task matches.",
        pages=others,
    )


def bars(details: Details, names: Names, query: Query) -> list[Bar]:
    """The tasks that have started and match, for the timeline."""
    from nbray.ids import node_of

    return [
        Bar(
            names.node(node_of(task.worker)),
            names.pid(task.worker) or task.worker & 0xFFFFFFFF,
            task.name,
            names.cell(task.job, task.cell),
            task.started,
            task.ended or details.now,
            task.state == d.FAILED,
            not task.ended,
        )
        for task in _wanted(details, names, query)
        if task.started
    ]
