"""The cluster's status: a row for each node, and how to add another.

Owns what the panel says, as HTML and as text. Does not own when it is
refreshed. Rule: no secret ever appears here; the snapshot holds none.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nbray import figures
from nbray.events import HISTORY, NodeView, Snapshot
from nbray.view.render import render

_SPARK = (64, 16)
"""Width and height of the last minute's curve, in pixels."""
_BARS = "▁▂▃▄▅▆▇█"


class UsageBar(msgspec.Struct, frozen=True):
    """A small bar: its name, its width in per cent, and what it says in full."""

    name: str
    percent: float
    said: str


class NodeRow(msgspec.Struct, frozen=True):
    """One node as the table shows it."""

    name: str
    where: str
    alive: bool
    shares: tuple[UsageBar, ...]
    """CPU, memory and object store; none of a node that is gone."""
    gpus: str
    """'1 of 2', '' where there is none."""
    numbers: tuple[str, ...]
    """Workers, running, queued and finished tasks."""
    spark: str
    """Points of the curve, '' while there are fewer than two readings."""


class Panel(msgspec.Struct, frozen=True):
    """Everything the panel says, before it is HTML or text."""

    title: str
    facts: tuple[str, ...]
    rows: tuple[NodeRow, ...]
    join: str
    dot: Literal["ok", "bad", "off"]
    """Well; a node is gone or there is no cluster; at rest."""
    gpus: bool = False
    """Whether any node has one: else they have no column."""


COLUMNS = ("workers", "running", "queued", "done")


def panel(snapshot: Snapshot, stopped: bool = False) -> Panel:
    """What to say of *snapshot*, the last one of a cluster that has *stopped* or a fresh one."""
    live = [node for node in snapshot.nodes if node.alive]
    gone = len(snapshot.nodes) - len(live)
    return Panel(
        title=figures.noun(len(live), "node") if live else "No cluster is running",
        facts=(("stopped",) if stopped else ())
        + (_facts(snapshot, live, gone, stopped) if live else ()),
        rows=tuple(_row(node, stopped) for node in snapshot.nodes),
        join="" if snapshot.engine else snapshot.address
        if snapshot.address and live and not stopped
        else "",
        dot="off" if stopped else "ok" if live and not gone else "bad",
        gpus=any(node.resources.get("GPU") for node in live),
    )


def role(node: NodeView) -> str:
    """'head', 'worker 2' or 'no CPUs 3': several nodes of one machine have one host name."""
    if node.is_head:
        return "head"
    works = node.resources.get("CPU") or node.resources.get("GPU")
    return f"{'worker' if works else 'no CPUs'} {node.number}"


def _total(nodes: list[NodeView], name: str) -> tuple[float, float]:
    """(busy, all) of resource *name*."""
    whole = sum(node.resources.get(name, 0.0) for node in nodes)
    free = sum(node.available.get(name, 0.0) for node in nodes)
    return max(0.0, whole - free), whole


def _busy(nodes: list[NodeView], name: str, stopped: bool) -> str:
    """How much of *name* is busy; of a cluster that has stopped, how much it had."""
    busy, whole = _total(nodes, name)
    if stopped:  # nothing is, whatever its nodes reported last
        return figures.amount(whole, name)
    return figures.part(busy, whole, name)


def _facts(snapshot: Snapshot, live: list[NodeView], gone: int, stopped: bool) -> tuple[str, ...]:
    facts = [f"{gone} gone"] if gone else []
    facts.append(_busy(live, "CPU", stopped) + ("" if stopped else " busy"))
    if _total(live, "GPU")[1]:
        facts.append(_busy(live, "GPU", stopped))
    store = sum(node.figures.store_total for node in live)
    if store:
        used = sum(node.figures.store_used for node in live)
        facts.append(f"store {figures.memory_share(used, store)}")
    disk = sum(node.figures.disk_used for node in live)
    if disk:
        facts.append(f"{figures.memory(disk)} of objects on disk")
    if snapshot.actors:
        facts.append(figures.noun(snapshot.actors, "actor"))
    if snapshot.groups and not stopped:
        facts.append(figures.noun(snapshot.groups, "placement group"))
    if snapshot.engine:
        facts.append(f"{snapshot.engine} engine")
    return tuple(facts)


def _share(name: str, used: float, total: float, disk: int = 0) -> UsageBar:
    """How full it is (and what more lies on *disk*); nothing where the node has not said so yet."""
    said = figures.memory_share(used, total) if total else ""
    if disk:
        said += f", {figures.memory(disk)} on disk"
    return UsageBar(name, figures.percent(used, total), said)


def _row(node: NodeView, stopped: bool) -> NodeRow:
    seen = node.figures
    where = [node.address] if node.address and node.address != node.name else []
    if not node.alive:
        where.append("gone")
    elif node.leaving:
        where.append("leaves when its work has ended")
    elif seen.uptime >= 1:
        where.append(f"up {figures.duration(seen.uptime)}")
    if node.alive and seen.trouble:
        where.append(seen.trouble.partition(":")[0])
    return NodeRow(
        name=f"{node.name or node.address} · {role(node)}",
        where=", ".join(where),
        alive=node.alive,
        shares=(
            UsageBar("CPU", figures.percent(seen.cpu_percent, 100), f"{seen.cpu_percent:.0f}%"),
            _share("memory", seen.memory_used, seen.memory_total),
            _share("store", seen.store_used, seen.store_total, seen.disk_used),
        )
        if node.alive
        else (),
        gpus=_gpus(node),
        numbers=tuple(
            figures.count(number)
            for number in (
                seen.workers,
                0 if stopped else seen.running,
                0 if stopped else seen.queued,
                seen.finished,
            )
        ),
        spark=_spark(node.history),
    )


def _gpus(node: NodeView) -> str:
    busy, whole = _total([node], "GPU")
    return f"{figures.brief(busy)} of {figures.brief(whole)}" if whole and node.alive else ""


def _spark(history: tuple[float, ...]) -> str:
    recent = history[-HISTORY:]
    if len(recent) < 2:
        return ""
    width, height = _SPARK
    step = width / (HISTORY - 1)
    start = width - step * (len(recent) - 1)  # the newest reading is always at the right end
    heights = [height - 1 - (height - 2) * figures.percent(value, 100) / 100 for value in recent]
    return " ".join(f"{start + step * index:.1f},{y:.1f}" for index, y in enumerate(heights))


def panel_html(snapshot: Snapshot, stopped: bool = False) -> str:
    """The panel as HTML without scripts or outside resources."""
    return render("panel", panel=panel(snapshot, stopped), columns=COLUMNS, spark=_SPARK)


def panel_text(snapshot: Snapshot, stopped: bool = False) -> str:
    """The panel as plain text: a line of facts, then a table."""
    what = panel(snapshot, stopped)
    lines = [" · ".join((what.title, *what.facts))]
    if what.rows:
        gpus = ["GPUs"] if what.gpus else []
        table: list[tuple[str, ...]] = [
            ("node", "address", "machine CPU", "memory", "store", *gpus, *COLUMNS,
             "CPU, last minute")
        ]  # fmt: skip
        table += [
            (
                figures.plain(row.name),
                figures.plain(row.where),
                *([share.said for share in row.shares] or [""] * 3),
                *([row.gpus] if gpus else []),
                *row.numbers,
                _curve(node.history),
            )
            for row, node in zip(what.rows, snapshot.nodes, strict=True)
        ]
        widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
        right = range(5 + len(gpus), 5 + len(gpus) + len(COLUMNS))
        lines += [
            "  ".join(
                cell.rjust(width) if index in right else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            for cells in table
        ]
    if what.join:
        lines.append(
            f"Add a machine to the cluster at {what.join}: nbray join, in a terminal on this "
            "machine, prints the line to paste there"
        )
    return "\n".join(lines)


def _curve(history: tuple[float, ...]) -> str:
    return "".join(_BARS[int(figures.percent(value, 100.1) / 100 * 8)] for value in history[-12:])
