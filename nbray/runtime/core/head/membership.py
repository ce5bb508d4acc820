"""Who is a member of the cluster: numbers, what each node has free, who is gone.

Owns the table of nodes at the head. Does not own links (a node's death is told
to it) nor actors (`actor_directory`). Rule: a number is given once; a node that was
lost stays in the table as dead and comes back only under a new number.
"""

from __future__ import annotations

import msgspec

from nbray.events import HISTORY, Figures, NodeView
from nbray.ids import FIRST_NODE, NODE_LABEL, node_hex
from nbray.runtime.core.placement import units
from nbray.wire.messages import NodeInfo, Shape

HISTORY_STEP = 1.0
"""Seconds between two readings of a node's history."""


class Membership:
    """The nodes of one cluster."""

    def __init__(self, cluster: int) -> None:
        self._cluster = cluster
        self.nodes: dict[int, NodeInfo] = {}
        self.figures: dict[int, Figures] = {}
        self._history: dict[int, tuple[float, ...]] = {}
        self._read: dict[int, float] = {}
        self._next = FIRST_NODE + 1
        self._left: set[int] = set()
        """Nodes that somebody wanted to go, or that are here again under another number: screens
        need not tell of them."""
        self._tickets: dict[int, int] = {}
        self._bundles: dict[int, Shape] = {}
        """By node, what of its total is in placement groups' names."""

    def join(self, ticket: int, info: NodeInfo, was: int = 0) -> NodeInfo:
        """Make a node a member; the same ticket gets the same number again.

        *was*: what its machine was before it lost the cluster.
        """
        if was in self.nodes:
            self._left.add(was)
        number = info.number
        if number != FIRST_NODE:
            number = self._tickets.get(ticket, 0)
            if not number:
                number = self._tickets[ticket] = self._next
                self._next += 1
        node = msgspec.structs.replace(
            info, number=number, is_head=number == FIRST_NODE, alive=True,
            labels={**info.labels, NODE_LABEL: node_hex(number, self._cluster)},
        )  # fmt: skip
        self.nodes[number] = node
        self._bundles.pop(number, None)  # its next report says what of it groups have
        self.figures.setdefault(number, Figures())
        return node

    def load(
        self, number: int, available: Shape, figures: Figures, now: float, leaving: bool = False,
        bundles: Shape | None = None,
    ) -> bool:
        """A node's report; whether what is free changed. Of a dead or unknown node: ignored."""
        node = self.nodes.get(number)
        if node is None or not node.alive:
            return False
        self.figures[number] = figures
        if now - self._read.get(number, float("-inf")) >= HISTORY_STEP:
            self._read[number] = now
            past = self._history.get(number, ())
            self._history[number] = (*past, figures.cpu_percent)[-HISTORY:]
        had = self._bundles.get(number, {})
        if bundles or had:
            bundles = bundles or {}
            self._bundles[number] = bundles
            if bundles != had:
                own = {name: n for name, n in node.total.items() if name not in had}
                node = msgspec.structs.replace(node, total={**own, **bundles})
        if bundles == had and (node.available, node.leaving) == (available, leaving):
            return False
        self.nodes[number] = msgspec.structs.replace(node, available=available, leaving=leaving)
        return True

    def lost(self, number: int, asked: bool = False) -> bool:
        """A node is gone, *asked* by somebody or not; False if that was known."""
        node = self.nodes.get(number)
        if node is None or not node.alive:
            return False
        if asked:
            self._left.add(number)
        self.nodes[number] = msgspec.structs.replace(node, alive=False, available={})
        return True

    def alive(self) -> list[NodeInfo]:
        """Live members, by number."""
        return [node for node in self.all() if node.alive]

    def all(self) -> list[NodeInfo]:
        """All members there ever were, by number."""
        return [self.nodes[number] for number in sorted(self.nodes)]

    def views(self) -> list[NodeView]:
        """The nodes for screens: all but those that were asked to leave and have left."""
        return [
            NodeView(
                number=node.number,
                node_id=node_hex(node.number, self._cluster),
                name=node.name,
                address=node.ip,
                is_head=node.is_head,
                alive=node.alive,
                resources=units(_own(node.total)),
                available=units(_own(node.available)),
                figures=self.figures[node.number],
                history=self._history.get(node.number, ()),
                leaving=node.leaving,
            )
            for node in self.all()
            if node.number not in self._left
        ]


def _own(shape: Shape) -> Shape:
    """What the node has, without what placement groups call parts of it."""
    return {name: n for name, n in shape.items() if "_group_" not in name}
