"""Placement groups, handed to Ray's own.

Owns which of Ray's groups is meant by an id. Does not own users' classes of them
(`nbray.util.placement_group`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.util.placement_group import (
    placement_group,
    placement_group_table,
    remove_placement_group,
)

from nbray.details import GroupRecord
from nbray.engines.ray.errors import translated
from nbray.engines.ray.places import selector, theirs_of
from nbray.engines.ray.references import table
from nbray.exceptions import RaySystemError, TaskPlacementGroupRemoved
from nbray.refs import ObjectRef
from nbray.where import Condition

LOOK_SECONDS = 0.05
"""Seconds between two looks at a group that is waited for."""


def _when_ready(group: Any, value: Any) -> Any:
    """*value*, once the group is there."""
    from nbray.engines.ray.groups import state_of
    from nbray.engines.ray.worker import gone

    while (state := state_of(group)) == "PENDING":
        time.sleep(LOOK_SECONDS)
    if state in {"", "REMOVED"}:
        raise gone(TaskPlacementGroupRemoved())
    return value


def state_of(group: str) -> str:
    """Ray's word for the state of a group; '' if there is none of this id."""
    with contextlib.suppress(Exception):  # Ray raises what it likes of unknown ones
        found = placement_group_table(theirs_of(group))
        return str(found.get("state", ""))
    return ""


class RayGroups:
    """See `nbray.engine.Groups` for the methods."""

    def __init__(self, check: Callable[[], None], namespace: Callable[[], str]) -> None:
        self._check = check
        self._namespace = namespace

    def create(
        self, bundles: Sequence[Mapping[str, float]], strategy: str, name: str, detached: bool,
        selectors: Sequence[Sequence[Condition]], target: str,
    ) -> str:  # fmt: skip
        """See the protocol."""
        self._check()
        more: dict[str, Any] = {}
        if any(selectors):
            more["bundle_label_selector"] = [selector(one) for one in selectors]
        if target:
            more["_soft_target_node_id"] = target
        try:
            made = placement_group(
                [dict(bundle) for bundle in bundles], strategy, name,
                "detached" if detached else None, **more,
            )  # fmt: skip
        except ray.exceptions.RayError as error:
            raise RaySystemError(str(error)) from None
        return str(made.id.hex())

    def remove(self, group: str) -> None:
        """See the protocol."""
        self._check()
        remove_placement_group(theirs_of(group))

    def ready(self, group: str, value: Any) -> ObjectRef[Any]:
        """See the protocol."""
        from nbray.engines.ray.boxes import boxed

        self._check()
        waits = ray.remote(num_cpus=0, max_retries=0)(_when_ready)
        return table.hold(waits.remote(group, boxed(value, "a placement group")))

    def wait(self, group: str, timeout: float | None) -> bool | None:
        """See the protocol."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            self._check()
            state = state_of(group)
            if state in {"", "REMOVED"}:
                return None
            if state == "CREATED":
                return True
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(LOOK_SECONDS)

    def find(self, group: str = "", name: str = "") -> list[GroupRecord]:
        """See the protocol."""
        self._check()
        try:
            if group:
                found = {group: placement_group_table(theirs_of(group))}
            else:
                found = placement_group_table()
        except ray.exceptions.RayError as error:
            raise translated(error) from None
        space = self._namespace()
        records = [_record(key, one) for key, one in found.items() if one]
        return [
            one for one in records
            if not name or (one.name == name and one.namespace in {"", space}
                            and one.state != "REMOVED")
        ]  # fmt: skip


def _record(group: str, one: Mapping[str, Any]) -> GroupRecord:
    bundles, nodes = one.get("bundles", {}), one.get("bundles_to_node_id", {})
    return GroupRecord(
        id=group, name=one.get("name", ""), namespace=one.get("ray_namespace", ""),
        bundles=tuple(dict(bundles[key]) for key in sorted(bundles)),
        strategy=one.get("strategy", "PACK"), state=one.get("state", ""),
        nodes=tuple(nodes.get(key, "") for key in sorted(bundles)),
    )  # fmt: skip
