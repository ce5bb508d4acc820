"""Placement groups of the inline engine: one node, so each is placed at once, or never.

Owns which there are and what they hold. Does not own what runs in them. Rule: nothing waits here,
so only a group that the node can never hold is not ready.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nbray.details import GroupRecord
from nbray.exceptions import RaySystemError, TaskPlacementGroupRemoved
from nbray.labels import satisfied
from nbray.options import UNIT
from nbray.where import Condition
from nbray.wire.pickling import pack, pack_error

if TYPE_CHECKING:
    from nbray.engines.inline.cluster import InlineCluster
    from nbray.engines.inline.objects import Objects
    from nbray.refs import ObjectRef

GONE = "The placement group corresponding to this task has been removed."


class InlineGroups:
    """Of one session. See `nbray.engine.Groups` for the methods.

    `ended` is called with a group that has been removed, `namespace` tells the session's.
    """

    def __init__(self, owner: int, cluster: InlineCluster) -> None:
        self._owner = owner
        self._cluster = cluster
        self._numbers = itertools.count(1)
        self._all: dict[str, GroupRecord] = {}
        self._waiting: dict[str, list[ObjectRef[Any]]] = {}
        self.objects: Objects | None = None
        self.namespace: Callable[[], str] = str
        self.ended: Callable[[str], None] = lambda _group: None

    def create(
        self, bundles: Sequence[Mapping[str, float]], strategy: str, name: str, detached: bool,
        selectors: Sequence[Sequence[Condition]], target: str,
    ) -> str:
        """See the protocol."""
        space = self.namespace()
        if name and self.find(name=name):
            raise RaySystemError(
                f"System error: Failed to create placement group because name '{name}' already "
                "exists."
            )
        group = f"{self._owner:016x}{next(self._numbers):012x}{self._owner & 0xFFFFFFFF:08x}"
        why = self._lacking(bundles, strategy, selectors)
        here = "" if why else self._cluster.node_id()
        self._all[group] = GroupRecord(
            id=group, name=name, namespace=space,
            bundles=tuple(dict(bundle) for bundle in bundles), strategy=strategy,
            state="PENDING" if why else "CREATED", nodes=(here,) * len(bundles), why=why,
            never=bool(why), attempts=1, detached=detached, job=self._owner,
        )  # fmt: skip
        if not why:
            self._cluster.hold(self._amounts(group), +1)
        return group

    def _lacking(
        self, bundles: Sequence[Mapping[str, float]], strategy: str,
        selectors: Sequence[Sequence[Condition]],
    ) -> str:  # fmt: skip
        if strategy == "STRICT_SPREAD" and len(bundles) > 1:
            return "each bundle needs a node of its own, and there is one node"
        labels = self._cluster.labels
        if not all(satisfied(labels, one) for one in selectors):
            return "the node does not have the labels"
        total = self._cluster.resources()
        need: dict[str, float] = {}
        for bundle in bundles:
            for name, amount in bundle.items():
                need[name] = need.get(name, 0) + amount
        lacks = [name for name, amount in need.items() if amount > total.get(name, 0)]
        return f"the node has not enough of {', '.join(lacks)}" if lacks else ""

    def _amounts(self, group: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for bundle in self._all[group].bundles:
            for name, amount in bundle.items():
                found[name] = found.get(name, 0) + round(amount * UNIT)
        return found

    def state(self, group: str) -> str:
        """The state of a group, '' if there never was such a one."""
        known = self._all.get(group)
        return known.state if known is not None else ""

    def remove(self, group: str) -> None:
        """See the protocol."""
        known = self._all.get(group)
        if known is None or known.state == "REMOVED":
            return
        if known.state == "CREATED":
            self._cluster.hold(self._amounts(group), -1)
        self._all[group] = msgspec.structs.replace(known, state="REMOVED", why="it was removed")
        objects = self.objects
        assert objects is not None
        for ref in self._waiting.pop(group, ()):
            error = pack_error(TaskPlacementGroupRemoved(GONE), "placement group", "", 0)
            objects.fail([ref], error)
        self.ended(group)

    def ready(self, group: str, value: Any) -> ObjectRef[Any]:
        """See the protocol."""
        objects = self.objects
        assert objects is not None
        ref = objects.new()
        state = self.state(group)
        if state == "CREATED":
            objects.store(ref, pack(value, "a placement group"))
        elif state == "PENDING":
            self._waiting.setdefault(group, []).append(ref)
        else:
            error = pack_error(TaskPlacementGroupRemoved(GONE), "placement group", "", 0)
            objects.fail([ref], error)
        return ref

    def wait(self, group: str, timeout: float | None) -> bool | None:
        """See the protocol. What is not placed at once never is."""
        state = self.state(group)
        return None if state in {"", "REMOVED"} else state == "CREATED"

    def find(self, group: str = "", name: str = "") -> list[GroupRecord]:
        """See the protocol."""
        space = self.namespace()
        return [
            one for one in self._all.values()
            if (not group or one.id == group)
            and (not name or (one.name == name and one.namespace == space
                              and one.state != "REMOVED"))
        ]  # fmt: skip
