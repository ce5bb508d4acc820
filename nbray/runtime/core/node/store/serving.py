"""Who of the nodes that pull one object sends which part of it to whom: a tree for each part.

Owns, for every slot of this node that others pull, which of them has got a part or is about to.
Does not own the sending (`transfers`). Rule: a part leaves this node once, then once more for
`CHILDREN` others that have it; who asks later is told whom to ask. Nodes begin at different
parts (`order`), so each is early in the trees of some and late in those of others, and all
cables carry about as much.

The idea is BitTorrent's (Cohen, 2003), with a tracker that knows what every peer has.
"""

from __future__ import annotations

from collections.abc import Callable

from nbray.wire.messages import Slot

CHILDREN = 2
"""How many others a node that has got a part sends it to."""
_GOLDEN = 0.6180339887498949
"""Multiples of it modulo one lie far apart, however many there are."""


def order(node: int, starts: list[int]) -> list[int]:
    """In which order *node* asks for the parts of an object, last first."""
    first = int(node * _GOLDEN % 1.0 * len(starts))
    return [*starts[first:], *starts[:first]][::-1]


class Serving:
    """The trees of all slots of one node.

    *gone* tells whether a node is dead, *live* whether a slot still holds what it held.
    """

    def __init__(self, gone: Callable[[int], bool], live: Callable[[Slot], bool]) -> None:
        self._gone = gone
        self._live = live
        self._trees: dict[Slot, dict[int, dict[int, int]]] = {}
        """Slot -> start of a part -> node that has it -> nodes that were sent there."""

    def ask(self, slot: Slot, start: int, node: int, insists: bool) -> int:
        """From whom *node* gets the part at *start*: 0 means from here.

        Args:
            insists: it was sent to another in vain.
        """
        if slot not in self._trees:
            self._trees = {one: tree for one, tree in self._trees.items() if self._live(one)}
        holders = self._trees.setdefault(slot, {}).setdefault(start, {})
        if not insists:
            for other, children in holders.items():
                if other != node and children < CHILDREN and not self._gone(other):
                    holders[other] = children + 1
                    holders.setdefault(node, 0)
                    return other
        holders.setdefault(node, 0)
        return 0
