"""Actors, objects, workers and jobs, each as a table.

Owns what the tables say and their order. Does not own the records. Rule: as in
`tables`, one page of rows is rendered, whatever the number.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbray import details as d
from nbray import figures
from nbray.details import ActorRecord, Details, ObjectRecord, TaskRecord
from nbray.events import NodeView, Snapshot
from nbray.ids import node_of
from nbray.view import groups
from nbray.view.holdings import unnamed
from nbray.view.names import Names, cell_key
from nbray.view.tables import PAGE, Cell, Chip, Column, Query, Table, link, pages
from nbray.view.tasks import span

_COMMON = {"CPU", "memory", "object_store_memory"}
_ACTOR_TONE = {"alive": "", "dead": "bad", "restarting": "run", "starting": "run"}


def _counted(first: int, last: int, count: int) -> str:
    if count <= last - first:
        return figures.count(count) if count else ""
    return f"{figures.count(first + 1)} to {figures.count(last)} of {figures.count(count)}"


def _matches(words: Sequence[str], *texts: str) -> bool:
    text = " ".join(texts).lower()
    return all(word in text for word in words)


def actors(details: Details, names: Names, query: Query) -> list[Table]:
    """All actors, the living first."""
    words = query.text.lower().split()
    wanted = [
        one
        for one in details.actors
        if not words
        or _matches(words, one.class_name, one.name, one.namespace, one.cause,
                    names.process(one.worker), names.cell(one.job, one.cell))
    ]  # fmt: skip
    counts = dict.fromkeys(d.ACTOR_STATES, 0)
    for one in wanted:
        counts[d.ACTOR_STATES[one.state]] += 1
    chips = [Chip("all", figures.count(len(wanted)), link("actors", query, state=""),
                  not query.state)]  # fmt: skip
    chips += [
        Chip(name, figures.count(count), link("actors", query, state=name), query.state == name)
        for name, count in counts.items()
        if count or name == query.state
    ]
    if query.state:
        wanted = [one for one in wanted if d.ACTOR_STATES[one.state] == query.state]
    wanted.sort(key=lambda one: one.state == d.ACTOR_STATES.index("dead"))
    first, last, others = pages("actors", query, len(wanted))
    calls = _calls(details)
    called = {one.id: one.name for one in details.groups}
    return [
        Table(
            caption="Actors",
            columns=(
                Column("class"), Column("name"), Column("state"), Column("worker"),
                Column("calls waiting", True), Column("restarts", True), Column("holds"),
                Column("made in"),
            ),
            rows=tuple(_actor(one, names, calls, called) for one in wanted[first:last]),
            chips=tuple(chips),
            note=_counted(first, last, len(wanted)),
            empty="No actor matches." if details.actors else "No actor has been made yet.",
            pages=others,
        )
    ]  # fmt: skip


def _calls(details: Details) -> dict[int, int]:
    """Unfinished calls by the worker that they are at."""
    found: dict[int, int] = {}
    for task in details.tasks:
        if task.ended:
            break  # unfinished ones come first
        if task.worker and task.state == d.SENT:
            found[task.worker] = found.get(task.worker, 0) + 1
    return found


def _actor(
    one: ActorRecord, names: Names, calls: dict[int, int], called: dict[str, str]
) -> tuple[Cell, ...]:
    state = d.ACTOR_STATES[one.state]
    limit = "" if one.max_restarts == 0 else " of any" if one.max_restarts < 0 \
        else f" of {one.max_restarts}"  # fmt: skip
    # A namespace that a driver did not choose is its identity: nobody wants to read it.
    space = one.namespace if not _looks_random(one.namespace) else ""
    alive = state == "alive"
    return (
        Cell(one.class_name, sub=one.cause if state != "alive" else ""),
        Cell(one.name, sub=f"in {space}" if space and one.name else ""),
        Cell(state + (", detached" if one.detached else ""), tone=_ACTOR_TONE[state]),
        Cell(names.process(one.worker) if alive else "", tone="soft"),
        Cell(figures.count(calls.get(one.worker, 0)) if alive else ""),
        Cell(f"{one.restarts}{limit}"),
        Cell(groups.held(one.resources, called), tone="soft"),
        Cell(
            names.cell(one.job, one.cell),
            link=link("tasks", Query(), cell=cell_key(one.job, one.cell)),
        ),
    )


def _looks_random(namespace: str) -> bool:
    return len(namespace) == 16 and all(char in "0123456789abcdef" for char in namespace)


def objects(details: Details, names: Names, query: Query) -> list[Table]:
    """The largest objects of every process."""
    words = query.text.lower().split()
    wanted = [
        one
        for one in details.objects
        if not words
        or _matches(words, one.maker or unnamed(one), names.process(one.owner),
                    names.cell(one.owner, one.cell), one.site, *map(names.node, one.nodes))
    ]  # fmt: skip
    counts = dict.fromkeys(d.OBJECT_STATES, 0)
    for one in wanted:
        counts[d.OBJECT_STATES[one.state]] += 1
    chips = [Chip("all", figures.count(len(wanted)), link("objects", query, state=""),
                  not query.state)]  # fmt: skip
    chips += [
        Chip(name, figures.count(count), link("objects", query, state=name), query.state == name)
        for name, count in counts.items()
        if count or name == query.state
    ]
    if query.state:
        wanted = [one for one in wanted if d.OBJECT_STATES[one.state] == query.state]
    wanted.sort(key=lambda one: -one.size)
    first, last, others = pages("objects", query, len(wanted))
    note = f"{figures.noun(details.object_count, 'object')}, {figures.memory(details.object_bytes)}"
    hidden = details.object_count - len(details.objects)
    if hidden > 0:
        note += f" · the {figures.count(len(details.objects))} largest are listed"
    return [
        Table(
            caption="Objects",
            columns=(
                Column("made by"), Column("in"), Column("size", True), Column("state"),
                Column("lies on"), Column("owner"), Column("references", True),
                Column("borrowed by", True), Column("in use by", True), Column("id"),
            ),
            rows=tuple(_object(one, names) for one in wanted[first:last]),
            chips=tuple(chips),
            note=note,
            empty="No object matches." if details.objects else "There are no objects.",
            pages=others,
        )
    ]  # fmt: skip


def _object(one: ObjectRecord, names: Names) -> tuple[Cell, ...]:
    state = d.OBJECT_STATES[one.state]
    made = ", ".join(filter(None, (names.cell(one.owner, one.cell), one.site)))
    return (
        Cell(one.maker or unnamed(one)),
        Cell(made, tone="soft"),
        Cell(figures.memory(one.size) if one.size else ""),
        Cell(state, tone="bad" if state == "failed" else "soft" if state == "pending" else ""),
        Cell(", ".join(names.node(number) + (" (on disk)" if number in one.disk else "")
                       for number in one.nodes)
             or ("with its owner" if state == "inline" else ""), tone="soft"),
        Cell(names.process(one.owner), tone="soft"),
        Cell(figures.count(one.held)),
        Cell(figures.noun(one.borrowers, "process", "processes") if one.borrowers else ""),
        Cell(figures.noun(one.pins, "process", "processes") if one.pins else ""),
        Cell(one.hex()[8:32], tone="soft"),
    )  # fmt: skip


def resources(snapshot: Snapshot) -> list[Table]:
    """GPUs and whatever else nodes have beside CPUs and memory; nothing where there is none."""
    names = sorted(
        {name for node in snapshot.nodes if node.alive for name in node.resources} - _COMMON
    )
    names = [name for name in names if not name.startswith("node:")]
    if not names:
        return []
    rows = tuple(
        (Cell(node.name or node.address), *(_share(node, name) for name in names))
        for node in snapshot.nodes
        if node.alive and any(name in node.resources for name in names)
    )
    columns = (Column("node"), *(Column(name, True) for name in names))
    return [Table(caption="Further resources", columns=columns, rows=rows[:PAGE])]


def _share(node: NodeView, name: str) -> Cell:
    whole = node.resources.get(name, 0.0)
    if not whole:
        return Cell("")
    used = whole - node.available.get(name, 0.0)
    return Cell(f"{figures.brief(used)} of {figures.brief(whole)}", tone="run" if used else "")


def workers(details: Details, names: Names, query: Query) -> Table:
    """The worker processes and what they run now."""
    running: dict[int, TaskRecord] = {}
    for task in details.tasks:
        if task.ended:
            break
        if task.state == d.RUNNING:
            running.setdefault(task.worker, task)
    homes = {one.worker: one for one in details.actors if d.ACTOR_STATES[one.state] == "alive"}
    found = [one for one in details.processes if not one.driver]
    found.sort(
        key=lambda one: (one.client not in running, names.node(node_of(one.client)), one.pid)
    )
    first, last, others = pages("nodes", query, len(found))
    rows = []
    for one in found[first:last]:
        task_now = running.get(one.client)
        actor = homes.get(one.client)
        rows.append(
            (
                Cell(names.node(node_of(one.client))),
                Cell(str(one.pid), tone="soft"),
                Cell(
                    f"{actor.class_name} {actor.name}".strip() if actor else "tasks",
                    sub=_environment(details, one.client),
                ),
                Cell(task_now.name, tone="run") if task_now else Cell("idle", tone="soft"),
                Cell(
                    span(details.now - task_now.started)
                    if task_now and task_now.started
                    else ""
                ),
            )
        )
    return Table(
        caption="Workers",
        columns=(
            Column("node"), Column("pid"), Column("serves"), Column("runs now"),
            Column("for", True),
        ),
        rows=tuple(rows),
        note=_counted(first, last, len(found)),
        empty="There are no worker processes.",
        pages=others,
    )  # fmt: skip


def _environment(details: Details, client: int) -> str:
    """What a process is in, or could not enter; '' if nothing."""
    one = details.environments.get(client)
    if one is None:
        return ""
    return f"{one.said}: failed" if one.why else one.said


def environments(details: Details, names: Names) -> list[Table]:
    """Which environments workers are in, and how many of them; no table where none is in any."""
    found: dict[tuple[str, int, str], list[int]] = {}
    for one in details.processes:
        said = "" if one.driver else _environment(details, one.client)
        if said:
            why = details.environments[one.client].why.strip().rpartition("\n")[2]
            found.setdefault((said, node_of(one.client), why), []).append(one.client)
    if not found:
        return []
    running = {task.worker: task for task in details.tasks if task.state == d.RUNNING}
    homes = {one.worker: one for one in details.actors if d.ACTOR_STATES[one.state] == "alive"}
    rows = []
    for (said, node, why), clients in sorted(found.items()):
        uses = {homes[one].class_name if one in homes else running[one].name
                for one in clients if one in homes or one in running}  # fmt: skip
        rows.append((
            Cell(said, sub=why, tone="bad" if why else ""),
            Cell(names.node(node)), Cell(figures.count(len(clients))),
            Cell(", ".join(sorted(uses)) or "nothing now", tone="" if uses else "soft"),
        ))  # fmt: skip
    columns = (Column("environment"), Column("node"), Column("workers", True), Column("used by"))
    note = f"the first {PAGE} of {figures.count(len(rows))}" if len(rows) > PAGE else ""
    return [Table("Environments", columns, tuple(rows[:PAGE]), note=note)]


def jobs(details: Details, names: Names) -> Table:
    """The drivers that have launched work; whoever only looks is none."""
    rows = []
    for one in details.processes:
        if not one.driver or one.client == details.me:
            continue
        cells = [cell.view for cell in details.cells if cell.driver == one.client]
        if not cells:
            continue
        unfinished = sum(cell.submitted - cell.done - cell.failed for cell in cells)
        cancelled = sum(cell.cancelled for cell in cells)
        failed = sum(cell.failed for cell in cells) - cancelled
        notebook = any(cell.cell for cell in cells)
        rows.append(
            (
                Cell(
                    f"{'notebook' if notebook else 'script'} · pid {one.pid}",
                    sub=_environment(details, one.client),
                ),
                Cell(names.node(node_of(one.client)), tone="soft"),
                Cell(figures.count(len(cells))),
                Cell(figures.count(sum(cell.submitted for cell in cells))),
                Cell(figures.count(unfinished)),
                Cell(figures.count(failed), tone="bad" if failed else ""),
                Cell(figures.count(cancelled) if cancelled else ""),
            )
        )
    return Table(
        caption="Jobs",
        columns=(
            Column("process"), Column("node"), Column("cells", True), Column("tasks", True),
            Column("unfinished", True), Column("failed", True), Column("cancelled", True),
        ),
        rows=tuple(rows),
        empty="No kernel or script has launched work yet.",
    )  # fmt: skip


_STATUS_TONE = {"FAILED": "bad", "RUNNING": "run", "STOPPED": "soft", "PENDING": "soft"}


def submitted(details: Details) -> list[Table]:
    """Programs that were submitted, if any were."""
    if not details.submitted:
        return []
    rows = []
    for one in details.submitted[:PAGE]:
        began, end = one.started, one.ended or details.wall
        took = figures.duration(end - began) if began and end else ""
        ago = f"{figures.duration(details.wall - began)} ago" if began and details.wall else ""
        rows.append((
            Cell(one.name, sub=one.program),
            Cell(one.status.lower(), sub=one.message, tone=_STATUS_TONE.get(one.status, "")),
            Cell(ago, tone="soft"), Cell(took),
        ))  # fmt: skip
    count = len(details.submitted)
    columns = (Column("job"), Column("status"), Column("began"), Column("took", True))
    note = f"the latest {PAGE} of {figures.count(count)}" if count > PAGE else ""
    return [Table("Submitted jobs", columns, tuple(rows), note=note)]
