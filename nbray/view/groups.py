"""Placement groups as a table: what each reserves, and on which node each bundle is.

Owns what the table says. Does not own the records (`nbray.details`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbray import figures
from nbray.details import Details, GroupRecord
from nbray.events import Snapshot
from nbray.view.names import Names, cell_key
from nbray.view.tables import PAGE, Cell, Column, Query, Table, link

WORDS = {
    "PENDING": ("waits", "run"), "CREATED": ("ready", ""), "RESCHEDULING": ("waits", "run"),
    "REMOVED": ("removed", "soft"),
}  # fmt: skip
"""What people read for Ray's states, and its tone."""
NODES = 4
"""Nodes that are named of one group."""
COLUMNS = (
    Column("group"), Column("state"), Column("bundles"), Column("on"), Column("made in"),
    Column("waits because"),
)  # fmt: skip


def rows(snapshot: Snapshot, details: Details, names: Names) -> list[tuple[Cell, ...]]:
    """A row for each group, those that are there first."""
    hosts = {node.node_id: names.node(node.number) for node in snapshot.nodes}
    ordered = sorted(details.groups, key=lambda one: one.state == "REMOVED")
    return [_row(one, hosts, names) for one in ordered]


def table(snapshot: Snapshot, details: Details, names: Names, query: Query) -> list[Table]:
    """The table; none where there are no groups."""
    words = query.text.lower().split()
    found = [
        row
        for row in rows(snapshot, details, names)
        if all(word in " ".join(f"{one.text} {one.sub}" for one in row).lower() for word in words)
    ]
    if not details.groups:
        return []
    note = f"the first {PAGE} are listed" if len(found) > PAGE else ""
    return [
        Table("Placement groups", COLUMNS, tuple(found[:PAGE]), note=note,
              empty="No placement group matches.")
    ]  # fmt: skip


def note(details: Details) -> str:
    """'2 of 3 ready', of those that have not ended."""
    there = [one for one in details.groups if one.state != "REMOVED"]
    ready = sum(one.state == "CREATED" for one in there)
    return f"{figures.count(ready)} of {figures.noun(len(there), 'group')} ready" if there else ""


def _row(one: GroupRecord, hosts: dict[str, str], names: Names) -> tuple[Cell, ...]:
    state, tone = WORDS[one.state]
    waits = one.state in {"PENDING", "RESCHEDULING"}
    removed = one.state == "REMOVED"
    return (
        Cell(one.name or f"#{int(one.id[16:28], 16)}", sub=one.strategy),
        Cell(state + (", detached" if one.detached and not removed else ""), tone=tone),
        Cell(_bundles(one.bundles), tone="soft" if removed else ""),
        Cell("" if removed else _places(one.nodes, hosts), tone="soft"),
        Cell(names.cell(one.job, one.cell),
             link=link("tasks", Query(), cell=cell_key(one.job, one.cell))),
        Cell(one.why if waits else "", tone="soft"),
    )  # fmt: skip


def _bundles(bundles: Sequence[dict[str, float]]) -> str:
    """'4 × 1 CPU, 1 × 2 GPUs': alike ones together, in the order in which they come."""
    counts: dict[str, int] = {}
    for bundle in bundles:
        said = " and ".join(_amount(name, value) for name, value in bundle.items() if value)
        counts[said] = counts.get(said, 0) + 1
    kinds = [f"{figures.count(many)} × {said}" for said, many in counts.items()]
    more = [f"{figures.count(len(kinds) - NODES)} more kinds"] if len(kinds) > NODES else []
    return ", ".join(kinds[:NODES] + more)


def held(resources: Mapping[str, float], groups: Mapping[str, str]) -> str:
    """What an actor or task has: '1 CPU', '1 CPU of group train'.

    Args:
        groups: the name of each group that has one, by its id.
    """
    found = []
    for name, amount in resources.items():
        plain, inside, group = name.partition("_group_")
        if not amount or "_" in group or plain == "bundle":
            continue  # of a group the same amount stands there twice, by its bundle and without
        known = groups.get(group)
        where = f" of group {known}" if known else " of its group" if inside else ""
        found.append(_amount(plain, amount) + where)
    return ", ".join(found)


def _amount(name: str, value: float) -> str:
    if name in {"CPU", "GPU"}:
        return figures.amount(value, name)
    if name in {"memory", "object_store_memory"}:
        return f"{figures.memory_asked(value)} of {name.replace('_', ' ')}"
    return f"{value:g} {name}"


def _places(nodes: Sequence[str], hosts: dict[str, str]) -> str:
    """'host1: 0 and 1, host2: 2': the bundles of each node, by their index."""
    by_node: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        if node:
            by_node.setdefault(node, []).append(index)
    if len(by_node) == 1 and len(next(iter(by_node.values()))) == len(nodes):
        return hosts.get(next(iter(by_node)), "")
    parts = [f"{hosts.get(node, 'a node')}: {_indices(some)}" for node, some in by_node.items()]
    more = [f"{figures.noun(len(parts) - NODES, 'more node')}"] if len(parts) > NODES else []
    return ", ".join(parts[:NODES] + more)


def _indices(some: Sequence[int]) -> str:
    """'0 to 3', '0 and 2', or '5 bundles'."""
    first, last = some[0], some[-1]
    if len(some) == 1:
        return f"bundle {first}"
    if last - first == len(some) - 1:
        return f"bundles {first} to {last}"
    return f"bundles {first} and {last}" if len(some) == 2 else f"{len(some)} bundles"
