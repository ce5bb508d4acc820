"""Memory by what holds it: a row for each variable, `Out[]` entry or task.

Owns the grouping into rows and the wording. Does not own the finding
(`nbray.jupyter.insight.pins`). Rule: the total is that of all objects; each object
stands in exactly one row, under everything that holds it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbray.details import OBJECT_STATES, ObjectRecord
from nbray.figures import count, memory, noun
from nbray.view.render import render

SHOWN = 40
"""Rows shown; the rest is summed."""
NAMED = 3
"""Holders named in one row."""


class Held(msgspec.Struct, frozen=True):
    """One object and what holds it."""

    object: ObjectRecord
    holders: tuple[str, ...]
    """Variables, `Out[]` entries, tasks: 'refs', 'Out[5]', 'task segment'."""
    only_history: bool = False
    """Nothing but IPython's history and the last traceback holds it."""
    where: tuple[str, ...] = ()
    """Names of the nodes that have it."""
    made: str = ""
    """'segment in In[3]', 'put in In[3], line 2'."""
    in_use: bool = False
    """A value of this process lies over its memory."""


class HoldingRow(msgspec.Struct, frozen=True):
    """Objects that the same things hold."""

    holders: str
    objects: str
    size: str
    state: str
    where: str
    made: str
    only_history: bool


def state(one: ObjectRecord) -> str:
    """'stored', 'small' (it is with the process that made its reference), 'pending', 'failed';
    'on disk' where no node has it in memory."""
    word = OBJECT_STATES[one.state]
    if one.disk and len(one.disk) == len(one.nodes):
        return "on disk"
    return "small" if word == "inline" else word


def _state(one: Held) -> str:
    return f"{state(one.object)}, in use" if one.in_use else state(one.object)


def unnamed(one: ObjectRecord) -> str:
    """What stands for the maker where none is known: of small values none is remembered."""
    words = {"stored": "put", "inline": "", "pending": "a task"}
    return words.get(OBJECT_STATES[one.state], "")


def one_line(held: Held) -> str:
    """'stored, 10 MB, on lab, made by segment in In[3]': what a displayed reference says."""
    one = held.object
    parts = ["ready" if OBJECT_STATES[one.state] == "inline" else state(one)]
    if one.size:
        parts.append(memory(one.size))
    if held.where:
        parts.append(f"on {', '.join(held.where)}")
    if held.made:
        parts.append(held.made if held.made.startswith("put in ") else f"made by {held.made}")
    return ", ".join(parts)


def _names(holders: Sequence[str]) -> str:
    """'refs, Out[5] and 98 more'; nothing known: what else there may be."""
    if not holders:
        return "no variable"
    if len(holders) <= NAMED:
        return ", ".join(holders)
    return f"{', '.join(holders[: NAMED - 1])} and {count(len(holders) - NAMED + 1)} more"


def rows(found: Sequence[Held]) -> list[HoldingRow]:
    """Grouped by what holds them, the largest first."""
    groups: dict[tuple[object, ...], list[Held]] = {}
    for one in found:
        # Entries of Out[] that hold one object each would be a row each.
        key: tuple[object, ...] = (one.holders,)
        if one.only_history:
            key = ("history", one.object.maker)
        groups.setdefault((*key, _state(one), one.where), []).append(one)
    made: list[tuple[int, HoldingRow]] = []
    for group in groups.values():
        size = sum(one.object.size for one in group)
        holders = tuple(dict.fromkeys(name for one in group for name in one.holders))
        origins = list(dict.fromkeys(one.made for one in group if one.made))
        row = HoldingRow(
            holders=_names(holders),
            objects=count(len(group)),
            size=memory(size) if size else "",
            state=_state(group[0]),
            where=", ".join(group[0].where),
            made=_names(origins) if origins else unnamed(group[0].object),
            only_history=group[0].only_history,
        )
        made.append((size, row))
    made.sort(key=lambda pair: -pair[0])
    return [row for _, row in made]


def _advice(found: Sequence[Held]) -> str:
    spare = [one for one in found if one.only_history]
    if not spare:
        return ""
    size = memory(sum(one.object.size for one in spare))
    objects = noun(len(spare), "object")
    return f"{size} in {objects} is held by history only: %nbray free lets go of it."


def _heading(found: Sequence[Held]) -> str:
    total = memory(sum(one.object.size for one in found))
    return f"{noun(len(found), 'object')}, {total}"


def holdings_html(found: Sequence[Held], store: str = "", said: str = "") -> str:
    """The table; *store* is how full the nodes' stores are, *said* what was just done."""
    all_rows = rows(found)
    return render(
        "holdings", heading=_heading(found), store=store, rows=all_rows[:SHOWN],
        more=noun(len(all_rows) - SHOWN, "more row") if len(all_rows) > SHOWN else "",
        advice=_advice(found), said=said,
    )  # fmt: skip


def holdings_text(found: Sequence[Held], store: str = "", said: str = "") -> str:
    """The same as text."""
    lines = [" · ".join(part for part in (_heading(found), store) if part)]
    shown = rows(found)
    table = [("held by", "objects", "size", "state", "where", "made by")]
    table += [
        (row.holders, row.objects, row.size, row.state, row.where, row.made)
        for row in shown[:SHOWN]
    ]
    if len(table) > 1:
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        for line in table:
            cells = [
                cell.rjust(width) if column in {1, 2} else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
    if len(shown) > SHOWN:
        lines.append(f"... {noun(len(shown) - SHOWN, 'more row')}")
    return "\n".join([*lines, *(line for line in (said, _advice(found)) if line)])


def reference_html(held: Held) -> str:
    """A displayed reference: its state, not its value."""
    one = held.object
    tone = {"failed": "nbray-dot-bad", "pending": "nbray-dot-off"}.get(OBJECT_STATES[one.state], "")
    return render("reference", tone=tone, text=one_line(held))
