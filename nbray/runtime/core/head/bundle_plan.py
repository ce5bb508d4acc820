"""Which node takes which bundle of a placement group, by its strategy.

Owns the choice. Does not own what is free (`groups` says it) nor what follows. Pure: the same
nodes give the same plan. Rule: a plan has room for all bundles at once, or there is none.

PACK uses as few nodes as it can, SPREAD as many; STRICT_PACK one, STRICT_SPREAD another one
for each bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbray.labels import satisfied
from nbray.runtime.core.placement import fits, give, take
from nbray.where import Condition
from nbray.wire.messages import NodeInfo, Shape


class Ask:
    """What is to be placed: bundles by their index, where the others of the group are."""

    __slots__ = ("bundles", "selectors", "strategy", "target", "used")

    def __init__(
        self, bundles: Mapping[int, Shape], strategy: str,
        selectors: Sequence[Sequence[Condition]] = (), used: Sequence[int] = (), target: int = 0,
    ) -> None:  # fmt: skip
        self.bundles = bundles
        self.strategy = strategy
        self.selectors = selectors
        self.used = used
        """The nodes of bundles that have their place already."""
        self.target = target

    def may(self, index: int, node: NodeInfo) -> bool:
        """Whether the labels of *node* are as bundle *index* wants them."""
        return not self.selectors or satisfied(node.labels, self.selectors[index])


def plan(ask: Ask, nodes: Sequence[NodeInfo], room: Mapping[int, Shape]) -> dict[int, int] | None:
    """The node of each bundle; None if there is not *room* (by node) for all of them."""
    if ask.strategy == "STRICT_PACK":
        return _one(ask, nodes, room)
    if ask.strategy == "STRICT_SPREAD":
        return _distinct(ask, nodes, room)
    found = _greedy(ask, nodes, room)
    return found if len(found) == len(ask.bundles) else None


def partly(ask: Ask, nodes: Sequence[NodeInfo], room: Mapping[int, Shape]) -> dict[int, int]:
    """As many bundles as have room, for a sentence about those that have none."""
    if ask.strategy == "STRICT_SPREAD":
        found: dict[int, int] = {}
        _match(ask, nodes, room, found)
        return found
    return _greedy(ask, nodes, room)


def _size(shape: Shape) -> tuple[int, ...]:
    """Large ones first: GPUs, then CPUs, then the rest."""
    return (-shape.get("GPU", 0), -shape.get("CPU", 0), -sum(shape.values()))


def _one(
    ask: Ask, nodes: Sequence[NodeInfo], room: Mapping[int, Shape]
) -> dict[int, int] | None:
    need: Shape = {}
    for bundle in ask.bundles.values():
        give(need, bundle)
    allowed = [n for n in nodes if not ask.used or n.number in ask.used]
    able = [
        node for node in allowed
        if fits(need, room[node.number]) and all(ask.may(index, node) for index in ask.bundles)
    ]  # fmt: skip
    if not able:
        return None
    best = min(
        able, key=lambda n: (n.number != ask.target, -_share(need, room[n.number]), n.number)
    )
    return dict.fromkeys(ask.bundles, best.number)


def _share(need: Shape, free: Mapping[str, int]) -> float:
    """How much of what it takes is left when *need* is taken from *free*: 1 all, 0 nothing."""
    names = [name for name, amount in need.items() if amount > 0]
    if not names:
        return 1.0
    return min(1 - need[name] / max(1, free.get(name, 0)) for name in names)


def _greedy(
    ask: Ask, nodes: Sequence[NodeInfo], room: Mapping[int, Shape]
) -> dict[int, int]:
    left = {node.number: dict(room[node.number]) for node in nodes}
    spread = ask.strategy == "SPREAD"
    taken = {node.number: ask.used.count(node.number) for node in nodes}
    found: dict[int, int] = {}
    order = sorted(ask.bundles, key=lambda index: (_size(ask.bundles[index]), index))
    for place, index in enumerate(order):
        need = ask.bundles[index]
        able = [n for n in nodes if fits(need, left[n.number]) and ask.may(index, n)]
        if not able:
            continue
        if spread:
            best = min(
                able,
                key=lambda n: (taken[n.number], -_share(need, left[n.number]), n.number),
            )
        else:
            rest = [ask.bundles[other] for other in order[place:]]
            best = min(
                able,
                key=lambda n: (not taken[n.number], -_many(rest, left[n.number]), n.number),
            )
        take(left[best.number], need)
        taken[best.number] += 1
        found[index] = best.number
    return found


def _many(bundles: Sequence[Shape], free: Shape) -> int:
    """How many of *bundles* fit into *free* together, in their order."""
    left = dict(free)
    count = 0
    for bundle in bundles:
        if fits(bundle, left):
            take(left, bundle)
            count += 1
    return count


def _distinct(
    ask: Ask, nodes: Sequence[NodeInfo], room: Mapping[int, Shape]
) -> dict[int, int] | None:
    found: dict[int, int] = {}
    return found if _match(ask, nodes, room, found) else None


def _match(
    ask: Ask, nodes: Sequence[NodeInfo], room: Mapping[int, Shape], found: dict[int, int]
) -> bool:
    """Give each bundle a node of its own, moving others where that helps; whether all have one."""
    by_node: dict[int, int] = {}
    able = {
        index: [
            n.number
            for n in sorted(nodes, key=lambda n: (-_share(need, room[n.number]), n.number))
            if n.number not in ask.used and fits(need, room[n.number]) and ask.may(index, n)
        ]
        for index, need in ask.bundles.items()
    }

    def placed(index: int, seen: set[int]) -> bool:
        for number in able[index]:
            if number in seen:
                continue
            seen.add(number)
            other = by_node.get(number)
            if other is None or placed(other, seen):
                by_node[number] = index
                found[index] = number
                return True
        return False

    for index in sorted(ask.bundles):
        placed(index, set())
    return len(found) == len(ask.bundles)
