"""What fits where: arithmetic on resource vectors, the choice of a node, and the reasons.

Owns sums, comparisons and sentences about resources. Does not own who holds
what (`node.scheduling.leases`). Pure functions over `Shape`s (name to ten-thousandths); a name
that is absent counts as zero. `take` and `give` change their first argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbray import figures
from nbray.options import UNIT
from nbray.wire.messages import NodeInfo, Shape

ZERO_SHAPE_MINIMUM = 4
"""Workers of a shape that takes nothing, which one client may always have on a node."""


def fits(need: Mapping[str, int], free: Mapping[str, int]) -> bool:
    """Whether *need* can be taken from *free* (which may be negative in places)."""
    return all(amount <= free.get(name, 0) for name, amount in need.items() if amount > 0)


def take(free: Shape, need: Mapping[str, int]) -> None:
    """Subtract *need* from *free*; the result may be negative (oversubscription)."""
    for name, amount in need.items():
        free[name] = free.get(name, 0) - amount


def give(free: Shape, need: Mapping[str, int]) -> None:
    """Add *need* to *free*."""
    for name, amount in need.items():
        free[name] = free.get(name, 0) + amount


def together(first: Mapping[str, int], second: Mapping[str, int]) -> Shape:
    """The larger of the two in every resource."""
    names = {**first, **second}
    return {name: max(first.get(name, 0), second.get(name, 0)) for name in names}


def units(shape: Mapping[str, int]) -> dict[str, float]:
    """The shape in whole units, as users write it."""
    return {name: amount / UNIT for name, amount in shape.items()}


def total(shapes: Iterable[Mapping[str, int]]) -> dict[str, float]:
    """The sum of shapes in whole units, without what nobody has."""
    found: Shape = {}
    for shape in shapes:
        give(found, shape)
    return {name: amount / UNIT for name, amount in found.items() if amount > 0}


def slots(need: Mapping[str, int], free: Mapping[str, int], total: Mapping[str, int]) -> int:
    """How many workers of shape *need* fit into *free* at once."""
    most: int | None = None
    for name, amount in need.items():
        if amount > 0:
            here = max(0, free.get(name, 0)) // amount
            most = here if most is None else min(most, here)
    return zero_limit(total) if most is None else most


def zero_limit(total: Mapping[str, int]) -> int:
    """How many workers of a shape that takes nothing one client may have on a node."""
    return max(ZERO_SHAPE_MINIMUM, 2 * total.get("CPU", 0) // UNIT)


def threads(need: Mapping[str, int]) -> int:
    """The thread setting of a worker for this shape: its whole CPUs, one at least."""
    return max(1, need.get("CPU", 0) // UNIT)


def load(node: NodeInfo) -> float:
    """The part of the node's scarcest resource that is in use: 0 idle, 1 or more full."""
    worst = 0.0
    for name, amount in node.total.items():
        if amount > 0:
            worst = max(worst, 1 - node.available.get(name, 0) / amount)
    return worst


def able(need: Mapping[str, int], nodes: Iterable[NodeInfo], pinned: int = 0) -> list[NodeInfo]:
    """The nodes that take work and whose totals satisfy *need*; only *pinned*, if not 0."""
    return [
        node
        for node in nodes
        if node.alive
        and not node.leaving
        and pinned in (0, node.number)
        and fits(need, node.total)
    ]


# -- sentences -------------------------------------------------------------------


def describe(need: Mapping[str, int]) -> str:
    """'1 CPU, 2 GPUs, 3 GB of memory'; 'a worker' for nothing at all."""
    parts = []
    for name, amount in need.items():
        if amount <= 0:
            continue
        units = amount / UNIT
        if name == "memory":
            parts.append(f"{figures.memory_asked(units)} of memory")
        elif name in {"CPU", "GPU"}:
            parts.append(figures.amount(units, name))
        else:
            parts.append(f"{units:g} {name!r}")
    return ", ".join(parts) or "a worker"


def _of(need: Mapping[str, int], has: Mapping[str, int]) -> str:
    """What *has* holds of the resources that *need* names."""
    parts = []
    for name, amount in need.items():
        if amount <= 0:
            continue
        units = max(0, has.get(name, 0)) / UNIT
        if name == "memory":
            parts.append(f"{figures.memory_asked(units)} of memory")
        elif name in {"CPU", "GPU"}:
            parts.append(figures.amount(units, name))
        else:
            parts.append(f"{units:g} {name!r}")
    return ", ".join(parts) or "nothing of it"


def why_never(need: Mapping[str, int], nodes: Iterable[NodeInfo], pinned: int = 0) -> str:
    """Why no node can ever satisfy *need*, in one sentence."""
    alive = [node for node in nodes if node.alive and not node.leaving]
    if pinned:
        chosen = [node for node in alive if node.number == pinned]
        if not chosen:
            return f"needs node {pinned}, which is not in the cluster, or is leaving it"
        has = _of(need, chosen[0].total)
        return f"needs {describe(need)} on {_name(chosen[0])}, which has {has}"
    has = "; ".join(f"{_name(node)} has {_of(need, node.total)}" for node in alive[:8])
    return f"needs {describe(need)}, but no node has that much: {has or 'there are no nodes'}"


def why_waiting(need: Mapping[str, int], nodes: Iterable[NodeInfo], pinned: int = 0) -> str:
    """Why work of shape *need* waits, in one sentence."""
    chosen = able(need, nodes, pinned)
    names = [node.name for node in chosen]
    parts = []
    for node in chosen[:8]:
        name = node.name if node.name and names.count(node.name) == 1 else _name(node)
        lacking = {what: n for what, n in need.items() if n > node.available.get(what, 0)} or need
        parts.append(f"{name} has {_free(lacking, node)} free")
    if len(chosen) > 8:
        parts.append(f"and {figures.noun(len(chosen) - 8, 'more node')}")
    return "; ".join([f"need {describe(need)}", *parts])


def _free(need: Mapping[str, int], node: NodeInfo) -> str:
    """'0 of 2 GPUs, 1 of 8 CPUs' of the resources that *need* names."""
    parts = []
    for name, amount in need.items():
        if amount <= 0:
            continue
        free, total = (max(0, has.get(name, 0)) / UNIT for has in (node.available, node.total))
        if name == "memory":
            parts.append(f"{figures.memory_asked(free)} of {figures.memory_asked(total)} of memory")
        elif name in {"CPU", "GPU"}:
            parts.append(figures.part(free, total, name))
        else:
            parts.append(f"{free:g} of {total:g} {name!r}")
    return ", ".join(parts) or "no worker"


def _name(node: NodeInfo) -> str:
    return f"node {node.number} ({node.name})" if node.name else f"node {node.number}"


# -- devices ---------------------------------------------------------------------


class Gpus:
    """Which GPU is used by how much. Whole GPUs are given empty ones; fractions share."""

    def __init__(self, count: int) -> None:
        self._free = [UNIT] * count

    def take(self, amount: int) -> list[int] | None:
        """Indices for *amount* ten-thousandths of a GPU, None if fragments do not allow it."""
        if amount <= 0:
            return []
        if amount < UNIT:
            open_ = [i for i, free in enumerate(self._free) if free >= amount]
            if not open_:
                return None
            chosen = [min(open_, key=lambda i: (self._free[i], i))]  # fill the fullest first
            self._free[chosen[0]] -= amount
            return chosen
        whole = [i for i, free in enumerate(self._free) if free == UNIT]
        count = -(-amount // UNIT)
        if len(whole) < count:
            return None
        for i in whole[:count]:
            self._free[i] = 0
        return whole[:count]

    def give(self, ids: list[int], amount: int) -> None:
        """Take back what `take(amount)` returned."""
        for i in ids:
            self._free[i] += min(UNIT, amount)
            assert self._free[i] <= UNIT, f"GPU {i} given back twice"
