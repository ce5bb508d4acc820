"""Ray's `ray.util.placement_group`: resources reserved together, on one node or on several.

Owns the handle `PlacementGroup` and the checks of what is asked for. Does not own the groups: the
engine's `cluster.groups` makes, finds and ends them. The module is called as the function is:
`nbray.util.placement_group(...)` and `from nbray.util.placement_group import placement_group`
are the same, as in Ray.
"""

from __future__ import annotations

import math
import sys
import types
from typing import Any

from nbray import session
from nbray.details import GroupRecord
from nbray.labels import Conditions, selector
from nbray.where import Where

__all__ = [
    "PlacementGroup", "PlacementGroupID", "check_placement_group_index",
    "get_current_placement_group", "get_placement_group", "placement_group",
    "placement_group_table", "remove_placement_group", "validate_placement_group",
]  # fmt: skip

VALID_PLACEMENT_GROUP_STRATEGIES = {"PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"}
_DIGITS = 36
MOST = 1e14
"""The largest amount that a resource can have."""


class PlacementGroupID:
    """Names a placement group in its cluster: 18 bytes."""

    __slots__ = ("_hex",)

    def __init__(self, value: bytes) -> None:
        self._hex = value.hex()

    @classmethod
    def from_hex(cls, text: str) -> PlacementGroupID:
        """The id of these hexadecimal digits."""
        return cls(bytes.fromhex(text))

    @classmethod
    def nil(cls) -> PlacementGroupID:
        """The id of none."""
        return cls(b"\xff" * (_DIGITS // 2))

    def hex(self) -> str:
        """36 hexadecimal digits."""
        return self._hex

    def binary(self) -> bytes:
        """18 bytes."""
        return bytes.fromhex(self._hex)

    def is_nil(self) -> bool:
        """Whether it names none."""
        return not self._hex.strip("f")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroupID) and other._hex == self._hex

    def __hash__(self) -> int:
        return hash(self._hex)

    def __repr__(self) -> str:
        return f"PlacementGroupID({self._hex})"

    def __reduce__(self) -> Any:
        return PlacementGroupID.from_hex, (self._hex,)


class PlacementGroup:
    """A handle to a placement group; it can be sent to tasks, and is equal to its copies."""

    def __init__(
        self, id: PlacementGroupID, bundle_cache: list[dict[str, float]] | None = None
    ) -> None:
        self.id = id
        self.bundle_cache = bundle_cache

    @staticmethod
    def empty() -> PlacementGroup:
        """The handle to none."""
        return PlacementGroup(PlacementGroupID.nil())

    @property
    def is_empty(self) -> bool:
        """Whether it is the handle to none."""
        return self.id.is_nil()

    def ready(self) -> Any:
        """A reference that is ready, with this group as its value, when all bundles are reserved.

        If the group is removed first, its `get` raises `TaskPlacementGroupRemoved`; if no node can
        hold it, after `init(infeasible="raise")`, `TaskUnschedulableError`.
        """
        engine = session.require()
        if self.is_empty:
            return engine.put(self)
        return engine.cluster.groups.ready(self.id.hex(), self)

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Wait until all bundles are reserved: whether they are in time.

        Raises:
            Exception: the group has been removed (as in Ray).
            TaskUnschedulableError: no node can hold it, after `init(infeasible="raise")`.
        """
        engine = session.require()
        if math.isnan(timeout_seconds):
            raise ValueError("timeout_seconds must be a number of seconds, not nan")
        timeout = None if timeout_seconds < 0 else float(timeout_seconds)
        watcher = session.watcher()
        if watcher is None:
            placed = engine.cluster.groups.wait(self.id.hex(), timeout)
        else:
            with watcher():
                placed = engine.cluster.groups.wait(self.id.hex(), timeout)
        if placed is None:
            raise Exception(f"Placement group {self.id!r} does not exist.")
        return placed

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle reserves, in units."""
        if not self.bundle_cache:
            found = session.require().cluster.groups.find(group=self.id.hex())
            self.bundle_cache = [dict(bundle) for one in found for bundle in one.bundles]
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        """How many bundles it has."""
        return len(self.bundle_specs)

    def _where(self, bundle: int = -1, captures: bool | None = None) -> Where:
        """Work in it, as engines are told (see `nbray.options`)."""
        if self.is_empty:
            if bundle != -1:
                raise ValueError(
                    "If placement group is not set, the value of bundle index must be -1."
                )
            return Where(group="-")
        sizes = tuple(tuple(sorted(one.items())) for one in self.bundle_specs)
        return Where(group=self.id.hex(), bundle=bundle, captures=captures, sizes=sizes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


def placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
) -> PlacementGroup:
    """Have resources reserved together; returns at once, `ready()` and `wait()` tell when they are.

    Args:
        bundles: what each reserves on one node: [{'CPU': 1}, {'GPU': 1, 'CPU': 4}].
        strategy: PACK (the default), on few nodes; SPREAD, on many; STRICT_PACK, on one;
            STRICT_SPREAD, each on a node of its own.
        name: by which `get_placement_group` finds it in this namespace.
        lifetime: None: it ends with the driver, or the actor, that made it; 'detached':
            when it is removed.
        _soft_target_node_id: for STRICT_PACK, the node that has it if it can.
        bundle_label_selector: of each bundle, what its node's labels must be.

    Raises:
        ValueError: something of it cannot be.
        TypeError: the name is no string.
        RaySystemError: the name is taken.
    """
    if name is not None:
        _check_name(name)
    selectors = _check(bundles, strategy, lifetime, _soft_target_node_id, bundle_label_selector)
    engine = session.require()
    made = engine.cluster.groups.create(
        [{key: float(amount) for key, amount in bundle.items()} for bundle in bundles],
        strategy or "PACK", name or "", lifetime == "detached", selectors,
        _soft_target_node_id or "",
    )  # fmt: skip
    cache = [{key: float(amount) for key, amount in bundle.items()} for bundle in bundles]
    return PlacementGroup(PlacementGroupID.from_hex(made), cache)


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """End a group: the tasks and actors in it end, and what it has reserved is free again."""
    assert placement_group is not None
    session.require().cluster.groups.remove(placement_group.id.hex())


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of this name in this namespace.

    Raises:
        ValueError: there is none.
    """
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    _check_name(placement_group_name)
    found = session.require().cluster.groups.find(name=placement_group_name)
    if not found:
        raise ValueError(f"Failed to look up placement group with name: {placement_group_name}")
    bundles = [dict(bundle) for bundle in found[0].bundles]
    return PlacementGroup(PlacementGroupID.from_hex(found[0].id), bundles)


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """What is known of a group, or of all by their ids, with Ray's keys."""
    groups = session.require().cluster.groups
    if placement_group is None:
        return {one.id: _row(one) for one in groups.find()}
    found = groups.find(group=placement_group.id.hex())
    return _row(found[0]) if found else {}


def _row(one: GroupRecord) -> dict[str, Any]:
    return {
        "placement_group_id": one.id,
        "name": one.name,
        "bundles": {index: dict(bundle) for index, bundle in enumerate(one.bundles)},
        "bundles_to_node_id": dict(enumerate(one.nodes)),
        "strategy": one.strategy,
        "state": one.state,
        "stats": {
            "end_to_end_creation_latency_ms": one.delays[0] * 1000,
            "scheduling_latency_ms": one.delays[1] * 1000,
            "scheduling_attempt": one.attempts,
            "highest_retry_delay_ms": 0.0,
            "scheduling_state": _scheduling(one),
        },
    }


def _scheduling(one: GroupRecord) -> str:
    """Ray's word for how far it is."""
    known = {"CREATED": "FINISHED", "REMOVED": "REMOVED"}.get(one.state)
    if known is None and one.never:
        return "INFEASIBLE"
    return known or ("NO_RESOURCES" if one.why else "QUEUED")


def get_current_placement_group() -> PlacementGroup | None:
    """The group in which the calling code runs; None in none, as in a driver."""
    group = session.require().context.runtime().group
    return PlacementGroup(PlacementGroupID.from_hex(group)) if group else None


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"A placement group's name must be a str, got {type(name)}.")


def _check(
    bundles: Any, strategy: Any, lifetime: Any, target: Any, selectors: Any
) -> list[Conditions]:
    if strategy is not None and strategy not in VALID_PLACEMENT_GROUP_STRATEGIES:
        raise ValueError(
            f"Invalid placement group strategy {strategy}. Supported strategies are: "
            f"{VALID_PLACEMENT_GROUP_STRATEGIES}."
        )
    if target and strategy != "STRICT_PACK":
        raise ValueError(
            f"_soft_target_node_id currently only works with STRICT_PACK but got {strategy}"
        )
    if not isinstance(bundles, list):
        raise ValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    like = 'For example: `[{"CPU": 1.0}, {"GPU": 1.0}]`.'
    if not bundles:
        raise ValueError(
            f"Bundles must be a non-empty list of resource dictionaries. {like} "
            "Got empty list instead."
        )
    for bundle in bundles:
        if not isinstance(bundle, dict) or not all(
            isinstance(key, str) and isinstance(amount, (int, float))
            for key, amount in bundle.items()
        ):
            raise ValueError(f"Bundles must be a non-empty list of resource dictionaries. {like}")
        if not any(bundle.values()):
            raise ValueError(
                "Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: "
                f"{bundles}"
            )
        if any(not 0 <= amount <= MOST for amount in bundle.values()):
            raise ValueError(f"Bundles have amounts of 0 to {MOST:g}. Bundles: {bundles}")
    if lifetime not in (None, "detached"):
        raise ValueError(
            "Placement group `lifetime` argument must be either `None` or 'detached'. "
            f"Got {lifetime}."
        )
    if selectors is None:
        return []
    if not isinstance(selectors, list):
        raise ValueError(
            f"Placement group bundle_label_selector must be a list, got {type(selectors)}."
        )
    if len(selectors) != len(bundles):
        raise ValueError(
            f"Invalid bundle label selector {selectors}. The length of `bundle_label_selector` "
            "should equal the length of `bundles`."
        )
    return [selector("bundle_label_selector", one) for one in selectors]


def check_placement_group_index(placement_group: PlacementGroup, bundle_index: int) -> None:
    """Refuse the number of a bundle that *placement_group* has not (-1: any of them).

    Raises:
        ValueError: it has no such bundle.
    """
    assert placement_group is not None
    if placement_group.id.is_nil():
        if bundle_index != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
    elif not -1 <= bundle_index < placement_group.bundle_count:
        raise ValueError(
            f"placement group bundle index {bundle_index} is invalid. Valid placement group "
            f"indexes: 0-{placement_group.bundle_count}"
        )


def validate_placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
) -> bool:
    """True: `placement_group` would take these arguments.

    Raises:
        ValueError: something of them cannot be.
    """
    _check(bundles, strategy, lifetime, _soft_target_node_id, bundle_label_selector)
    return True


class _Module(types.ModuleType):
    """The module is what its name says: a function."""

    def __call__(self, *args: Any, **kwargs: Any) -> PlacementGroup:
        return placement_group(*args, **kwargs)


sys.modules[__name__].__class__ = _Module
