"""What `nbray status` says below the panel: nodes and resources in the form of Ray's `ray status`.

Owns the text, which programs read. Does not own the figures (`events.Snapshot`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nbray import details as d
from nbray.events import NodeView, Snapshot

_RULE = "-" * 63
_BYTES = {"memory", "object_store_memory"}
_STEPS = ("B", "KiB", "MiB", "GiB", "TiB")


def status_text(
    snapshot: Snapshot, found: d.Details, each: bool = False, *,
    groups: Iterable[d.GroupRecord] = (), at: str = "",
) -> str:  # fmt: skip
    """Nodes, what is used of what there is, and what waits.

    Args:
        snapshot: what is known of the cluster.
        found: its tasks and actors.
        each: what every node has, too.
        groups: its placement groups.
        at: when, as the heading says it.
    """
    groups = tuple(groups)
    waiting = [*_demands(found), *_waiting_groups(groups)]
    alive = [node for node in snapshot.nodes if node.alive]
    lost = [node for node in snapshot.nodes if not node.alive]
    lines = [f"======== Autoscaler status: {at} ========"] if at else []
    lines += ["Node status", _RULE, "Active:", *(f" 1 node_{node.node_id}" for node in alive)]
    lines += [] if alive else [" (no active nodes)"]
    lines += ["Pending:", " (no pending nodes)", "Recent failures:"]
    lines += [f" node_{node.node_id}: NodeTerminated (ip: {node.address})" for node in lost]
    lines += [] if lost else [" (no failures)"]
    lines += ["", "Resources", _RULE, "Total Usage:", *_usage(alive, groups), ""]
    lines += ["From request_resources:", " (none)", "Pending Demands:"]
    lines += [f" {one}" for one in waiting] if waiting else [" (no resource demands)"]
    if each:
        for node in alive:
            lines += ["", f"Node: {node.node_id}", " Usage:"]
            lines += [f" {line}" for line in _usage([node])]
    return "\n".join(lines)


def _demands(found: d.Details) -> list[str]:
    """"{'CPU': 1.0}: 3+ pending tasks/actors" for each shape that waits for a place."""
    shapes = [
        one.resources for one in found.tasks
        if one.state == d.QUEUED and one.actor == (0, 0) and one.resources
    ]  # fmt: skip
    shapes += [one.resources for one in found.actors if one.state == 0 and one.resources]
    counts = Counter(str(dict(sorted(shape.items()))) for shape in shapes)
    return [f"{shape}: {count}+ pending tasks/actors" for shape, count in counts.items()]


def _waiting_groups(groups: Iterable[d.GroupRecord]) -> list[str]:
    """"{'CPU': 1.0} * 2 (STRICT_SPREAD): 1+ pending placement groups" for each kind that waits."""
    kinds: Counter[str] = Counter()
    for one in groups:
        if one.state in {"PENDING", "RESCHEDULING"}:
            bundles = Counter(str(dict(sorted(bundle.items()))) for bundle in one.bundles)
            shapes = ", ".join(f"{shape} * {count}" for shape, count in bundles.items())
            kinds[f"{shapes} ({one.strategy})"] += 1
    return [f"{kind}: {count}+ pending placement groups" for kind, count in kinds.items()]


def _usage(nodes: list[NodeView], groups: Iterable[d.GroupRecord] = ()) -> list[str]:
    """' 1.0/4.0 CPU' for each resource that people ask for."""
    reserved: Counter[str] = Counter()
    for one in groups:
        for bundle in one.bundles if one.state == "CREATED" else ():
            reserved.update(bundle)
    names = sorted({name for node in nodes for name in node.resources})
    lines = []
    for name in names:
        if name.startswith("node:") or "_group_" in name:
            continue
        total = sum(node.resources.get(name, 0.0) for node in nodes)
        used = total - sum(node.available.get(name, 0.0) for node in nodes)
        if name in _BYTES:
            lines.append(f" {_size(used)}/{_size(total)} {name}")
        else:
            held = ""
            if reserved[name]:
                inside, most = _in_groups(nodes, name), float(reserved[name])
                held = f" ({inside!r} used of {most!r} reserved in placement groups)"
            lines.append(f" {round(used, 4)!r}/{round(total, 4)!r} {name}{held}")
    return lines


def _in_groups(nodes: list[NodeView], resource: str) -> float:
    """What work in placement groups has of *resource*."""
    names = {
        name for node in nodes for name in node.resources
        if name.startswith(f"{resource}_group_") and name.count("_") == resource.count("_") + 2
    }  # fmt: skip
    taken = sum(
        node.resources.get(name, 0.0) - node.available.get(name, 0.0)
        for node in nodes for name in names
    )  # fmt: skip
    return round(float(taken), 4)


def _size(amount: float) -> str:
    """'0B', '953.67MiB'."""
    step = 0
    while amount >= 1024 and step < len(_STEPS) - 1:
        amount /= 1024
        step += 1
    return f"{amount:.2f}{_STEPS[step]}" if step else f"{amount:.0f}B"
