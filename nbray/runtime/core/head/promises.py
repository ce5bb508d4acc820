"""What of each node is promised to placement groups, and what of the rest is free.

Owns the sums. Does not own the groups (`groups`), nor what actors hold (the directory). Rule: what
is promised to groups and held by actors is never more than the node has, as far as is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from nbray.runtime.core.placement import give, take
from nbray.wire.messages import NodeInfo, Shape


class Promises:
    """Those of one cluster; *held* tells what actors that belong to no group hold on a node."""

    def __init__(self, held: Callable[[int], Iterable[Shape]]) -> None:
        self._held = held
        self._promised: dict[int, Shape] = {}
        """By node, what groups have or are to have."""
        self._coming: dict[int, Shape] = {}
        """By node, what groups give back of which the node has not told yet."""

    def of(self, node: int) -> Shape:
        """What of a node groups have, or are to have."""
        return self._promised.get(node, {})

    def make(self, node: int, bundle: Mapping[str, int]) -> None:
        """A group is to have this of a node."""
        give(self._promised.setdefault(node, {}), bundle)

    def end(self, node: int, bundle: Mapping[str, int], returned: bool) -> None:
        """It is not to have it any more; *returned*: it had it, and the node gets it back."""
        if returned:
            give(self._coming.setdefault(node, {}), bundle)
        promised = self._promised.get(node)
        if promised is not None:
            take(promised, bundle)
            if not any(promised.values()):
                del self._promised[node]

    def told(self, node: int) -> None:
        """A node has said what it has free."""
        self._coming.pop(node, None)

    def lost(self, node: int) -> None:
        """A node is gone, with all that was promised there."""
        self._promised.pop(node, None)
        self._coming.pop(node, None)

    def left(self, node: NodeInfo) -> Shape:
        """What actors and groups leave of a node."""
        left = {name: n for name, n in node.total.items() if "_group_" not in name}
        for shape in self._held(node.number):
            take(left, shape)
        take(left, self.of(node.number))
        return left

    def free(self, node: NodeInfo, left: Shape) -> Shape:
        """What of that is free at once, as far as is known."""
        coming = self._coming.get(node.number, {})
        has = node.available
        return {name: min(n, has.get(name, 0) + coming.get(name, 0)) for name, n in left.items()}

    def check(self, promised: Mapping[int, Shape]) -> None:
        """Raise unless this is what has been promised."""
        for number in {*promised, *self._promised}:
            mine = {name: n for name, n in promised.get(number, {}).items() if n}
            told = {name: n for name, n in self.of(number).items() if n}
            assert mine == told, f"node {number}: {told} promised, {mine} in groups"
