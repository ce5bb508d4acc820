"""What fits where: arithmetic on resource vectors, the choice of a node, and the reasons.

Owns sums, comparisons and sentences about resources. Does not own who holds
what (`node.scheduling.leases`). Pure functions over `Shape`s (name to ten-thousandths); a name
that is absent counts as zero. `take` and `give` change their first argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbray import figures
from nbray.options import UNIT
from nbray.where import Where
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
    if "CPU" not in need and group_of(need):
        need = out_of_group(need)
    return max(1, need.get("CPU", 0) // UNIT)


def load(node: NodeInfo) -> float:
    """The part of the node's scarcest resource that is in use: 0 idle, 1 or more full."""
    worst = 0.0
    for name, amount in node.total.items():
        if amount > 0 and "_group_" not in name:
            worst = max(worst, 1 - node.available.get(name, 0) / amount)
    return worst


def able(
    need: Mapping[str, int], nodes: Iterable[NodeInfo], pinned: int = 0,
    where: Where | None = None,
) -> list[NodeInfo]:  # fmt: skip
    """The nodes that take work and whose totals satisfy *need*; only *pinned*, if not 0.

    And only those that *where* allows.
    """
    found = [
        node
        for node in nodes
        if node.alive
        and not node.leaving
        and pinned in (0, node.number)
        and fits(need, node.total)
    ]
    return found if where is None or where.plain else allowed(where, found)


def allowed(where: Where, able_ones: list[NodeInfo]) -> list[NodeInfo]:
    """Those of the nodes that have what it takes to which *where* lets work go.

    Of the labels that it wishes for it asks where some node has them; of the node that it
    names, softly, likewise.
    """
    from nbray.labels import satisfied  # once somebody asks for labels

    found = [node for node in able_ones if satisfied(node.labels, where.hard)]
    for hard in where.otherwise if not found else ():
        found = found or [node for node in able_ones if satisfied(node.labels, hard)]
    if where.wished:
        found = [node for node in found if satisfied(node.labels, where.wished)] or found
    if where.node:
        named = [node for node in found if node.number == where.node]
        if not where.soft or (named and not where.spill):
            return named
    return found


# -- placement groups ------------------------------------------------------------

BUNDLE = 1_000 * UNIT
"""How much of the resource `bundle` each bundle has, as in Ray."""
IN_BUNDLE = UNIT // 1_000
"""How much of it takes whatever runs there."""


def of_group(name: str, group: str, bundle: int = -1) -> str:
    """What resource *name* is called in a bundle of a placement group (-1: in any)."""
    return f"{name}_group_{group}" if bundle < 0 else f"{name}_group_{bundle}_{group}"


def in_group(need: Mapping[str, int], group: str, bundle: int = -1) -> Shape:
    """*need*, of a placement group's bundle (-1: of any)."""
    found: Shape = {}
    for name, amount in {**need, "bundle": IN_BUNDLE}.items():
        found[of_group(name, group)] = amount
        if bundle >= 0:
            found[of_group(name, group, bundle)] = amount
    return found


def out_of_group(shape: Mapping[str, int]) -> Shape:
    """What a shape in a placement group amounts to, by the plain names."""
    found: Shape = {}
    for name, amount in shape.items():
        plain, mark, group = name.partition("_group_")
        if not mark:
            found[name] = amount
        elif plain != "bundle" and "_" not in group:
            found[plain] = amount
    return found


def group_of(shape: Mapping[str, int]) -> str:
    """The placement group whose resources *shape* asks for ('': none)."""
    for name in shape:
        if "_group_" in name:
            return name.rpartition("_")[2]
    return ""


# -- sentences -------------------------------------------------------------------

GONE_NODE = (
    "The node specified via NodeAffinitySchedulingStrategy doesn't exist any more or is "
    "infeasible, and soft=False was specified."
)


def describe(need: Mapping[str, int]) -> str:
    """'1 CPU, 2 GPUs, 3 GB of memory'; 'a worker' for nothing at all."""
    group = group_of(need)
    if group:
        return f"{describe(out_of_group(need))} of placement group {group}"
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


def why_never(
    need: Mapping[str, int], nodes: Iterable[NodeInfo], pinned: int = 0,
    where: Where | None = None,
) -> str:  # fmt: skip
    """Why no node can ever satisfy *need*, in one sentence."""
    alive = [node for node in nodes if node.alive and not node.leaving]
    if where is not None and where.hard:
        from nbray.labels import said, satisfied

        choices = (where.hard, *where.otherwise)
        asked = " or ".join(said(one) for one in choices if one)
        alive = [node for node in alive if any(satisfied(node.labels, one) for one in choices)]
        if not alive:
            return f"needs a node with {asked}, and there is none"
    if where is not None and where.node and not where.soft:
        pinned = where.node
    if pinned:
        chosen = [node for node in alive if node.number == pinned]
        if not chosen:
            return f"needs node {pinned}, which is not in the cluster, or is leaving it"
        has = _of(need, chosen[0].total)
        return f"needs {describe(need)} on {_name(chosen[0])}, which has {has}"
    has = "; ".join(f"{_name(node)} has {_of(need, node.total)}" for node in alive[:8])
    return f"needs {describe(need)}, but no node has that much: {has or 'there are no nodes'}"


def why_waiting(
    need: Mapping[str, int], nodes: Iterable[NodeInfo], pinned: int = 0,
    where: Where | None = None,
) -> str:  # fmt: skip
    """Why work of shape *need* waits, in one sentence."""
    chosen = able(need, nodes, pinned, where)
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
    group = group_of(need)
    for name, amount in need.items():
        if amount <= 0 or (group and (name.startswith("bundle_") or name.count("_") > 2)):
            continue
        plain = name.partition("_group_")[0] if group else name
        free, total = (max(0, has.get(name, 0)) / UNIT for has in (node.available, node.total))
        if plain == "memory":
            parts.append(f"{figures.memory_asked(free)} of {figures.memory_asked(total)} of memory")
        elif plain in {"CPU", "GPU"}:
            parts.append(figures.part(free, total, plain))
        else:
            parts.append(f"{free:g} of {total:g} {plain!r}")
    return ", ".join(parts) or "no worker"


def _name(node: NodeInfo) -> str:
    return f"node {node.number} ({node.name})" if node.name else f"node {node.number}"


# -- devices ---------------------------------------------------------------------


class Gpus:
    """Which GPU is used by how much. Whole GPUs are given empty ones; fractions share."""

    def __init__(self, count: int) -> None:
        self._free = [UNIT] * count
        self._most = self._free[:]

    @classmethod
    def of(cls, ids: list[int], amount: int) -> Gpus:
        """Those of a bundle: these, *amount* ten-thousandths in all."""
        found = cls(max(ids, default=-1) + 1)
        found._most = [min(UNIT, amount) if i in ids else 0 for i in range(len(found._free))]
        found._free = found._most[:]
        return found

    def had(self, ids: list[int], amount: int) -> bool:
        """Whether these may have been taken from here."""
        return all(
            i < len(self._free) and self._free[i] + min(UNIT, amount) <= self._most[i] for i in ids
        )

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
