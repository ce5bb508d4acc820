"""Which node an actor is started on, or why none is.

Owns the choice. Does not own the actors (`actor_directory`) nor the groups (`groups`). Rules: an
actor goes where what it needs is free, else where nothing but leases is in the way, for those
come back to whoever waits there; who asks for a node or for labels goes nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nbray.runtime.core.placement import (
    GONE_NODE,
    able,
    fits,
    load,
    take,
    together,
    why_never,
    why_waiting,
)
from nbray.where import Where
from nbray.wire import messages as m

Found = tuple[m.NodeInfo | None, str, bool]
"""(its node, or None; why it has none ('': it is a matter of time); whether it never will)."""


class Choice:
    """That of one head.

    Args:
        nodes: gives the live members.
        held: what actors hold on a node.
        placed: how many actors are placed there.
    """

    def __init__(
        self, nodes: Callable[[], list[m.NodeInfo]], held: Callable[[int], Iterable[m.Shape]],
        placed: Callable[[int], int],
    ) -> None:  # fmt: skip
        self._nodes = nodes
        self._held = held
        self._placed = placed
        self.promised: Callable[[int], m.Shape] = lambda _node: {}
        """What of a node placement groups have."""
        self.removed: Callable[[str], bool] = lambda _group: False
        """Whether a placement group is over."""
        self.waits: Callable[[str], str] = lambda _group: ""
        """Why a placement group has not been placed."""
        self.never: Callable[[str], bool] = lambda _group: False
        """Whether that is so for want of nodes."""

    def of(self, spec: m.ActorSpec) -> Found:
        """The node for an actor that has none."""
        where, members = spec.where, self._nodes()
        group = where.group if where is not None else ""
        if group and self.removed(group):
            why = (
                "Could not create the actor because its associated placement group was removed. "
                f"Required placement group {group} is removed."
            )
            return None, why, True
        able_ones = able(spec.resources, members, spec.node, where)
        if not able_ones:
            if group:
                why = self.waits(group)
                said = f"waits for its placement group{why and ': '}{why}"
                return None, said, spec.raises and self.never(group)
            why = why_never(spec.resources, members, spec.node, where)
            gone = spec.node > 0 or (where is not None and bool(where.node) and not where.soft)
            if where is not None and gone and not spec.node:
                why = f"{GONE_NODE}; it {why}" if where.node > 0 else GONE_NODE
            return None, why, spec.raises or gone
        need = together(spec.resources, spec.placement)
        # One that needs a CPU only to be placed may live beside busy ones, but not where none is.
        able_ones = able(need, members, spec.node, where) or able_ones
        free = [node for node in able_ones if fits(need, node.available)]
        if group:  # what is told of it comes late, and all of it may be taken
            free = [node for node in free if fits(spec.resources, self._left(node))]
        if not free or (where is not None and where.spread):
            # Leases come back to whoever waits on the node; what actors hold does not.
            free = [node for node in able_ones if fits(spec.resources, self._left(node))]
        if not free:
            if where is not None and where.fail:
                return None, f"node {where.node_id} is busy, and is not to be waited for", True
            # Actors that wait for others say so by themselves; a group's bundles are known here.
            return None, why_waiting(need, able_ones) if group else "", False
        return min(free, key=lambda one: self._order(one, where)), "", False

    def _order(
        self, node: m.NodeInfo, where: Where | None
    ) -> tuple[float, ...]:
        count = self._placed(node.number)
        if where is None:
            return (load(node), count, node.number)
        first = where.spill and node.number != where.node
        if where.spread:
            return (first, count, load(node), node.number)
        return (first, load(node), count, node.number)

    def _left(self, node: m.NodeInfo) -> m.Shape:
        left = dict(node.total)
        for shape in self._held(node.number):
            take(left, shape)
        take(left, self.promised(node.number))
        return left
