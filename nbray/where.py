"""Where work may run: strategies, labels and placement groups, as engines are told.

Owns `Where`, how the options that speak of the place become one, and their checks. Does not own
users' classes of strategies (`nbray.util.scheduling_strategies`: each has `_where`), nor what it
means for nodes (`runtime.core.placement`).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

Condition = tuple[str, str, tuple[str, ...]]
"""What a node's label must be: (its key, 'in', 'not in', 'exists' or 'lacks', values)."""


class Where(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where work may run, beyond what it takes (see `nbray.strategies`)."""

    spread: bool = False
    node_id: str = ""
    """The node that was named, as users know it."""
    node: int = 0
    """Its number (0: none was named, -1: it is not there)."""
    soft: bool = False
    """Elsewhere, if that node is not there or can never do it."""
    spill: bool = False
    """Elsewhere, too, while that node is busy."""
    fail: bool = False
    """Fail rather than wait while that node is busy."""
    hard: tuple[Condition, ...] = ()
    wished: tuple[Condition, ...] = ()
    group: str = ""
    """The placement group in which it runs; '-' for expressly none."""
    bundle: int = -1
    """Which of its bundles (-1: any)."""
    captures: bool | None = None
    """What it launches runs in the group as well (None: as it is where this is launched)."""
    sizes: tuple[tuple[tuple[str, float], ...], ...] = ()
    """What each bundle has, for checks."""
    otherwise: tuple[tuple[Condition, ...], ...] = ()
    """Where no node is as `hard` says that can ever do it: what its labels may be then, in turn."""

    @property
    def plain(self) -> bool:
        """Whether it says nothing about nodes."""
        return not (self.node or self.hard or self.wished)


PLACING = frozenset({
    "scheduling_strategy", "label_selector", "placement_group", "placement_group_bundle_index",
    "placement_group_capture_child_tasks", "fallback_strategy",
})  # fmt: skip
"""Options that say where work runs; they become one `Where`."""
APART = "-"
"""In the place of a group: in none, whatever group the launching code is in."""


def placed(
    given: Mapping[str, Any], base: Where | None
) -> tuple[Mapping[str, Any], Where | None]:
    """(the other options, what *given* says of the place over *base*).

    Raises:
        ValueError, TypeError: it says something that cannot be.
    """
    if not PLACING & given.keys():
        return given, base
    rest = {name: value for name, value in given.items() if name not in PLACING}
    strategy, group = given.get("scheduling_strategy"), given.get("placement_group", "default")
    bundle = given.get("placement_group_bundle_index", -1)
    captures = given.get("placement_group_capture_child_tasks")
    _check_kinds(bundle, captures)
    where = base
    if strategy is not None:
        if group not in ("default", None):
            raise ValueError(
                "Placement groups should be specified via the scheduling_strategy option. "
                "The placement_group option is deprecated."
            )
        where = _strategy(strategy)
    elif group is None:
        where = Where(group=APART)
    elif group != "default":
        made = getattr(type(group), "_where", None)
        if made is None:
            raise TypeError(f"placement_group must be a PlacementGroup, not {group!r}")
        where = made(group, bundle, captures)
    elif "scheduling_strategy" in given:
        where = None
    elif captures is not None:
        where = Where(captures=captures)
    if bundle != -1 and (where is None or where.group in {"", APART}):
        raise ValueError("If placement group is not set, the value of bundle index must be -1.")
    if given.get("label_selector"):
        from nbray.labels import selector  # once somebody asks for labels

        found = selector("label_selector", given["label_selector"])
        where = msgspec.structs.replace(where or Where(), hard=found)
    elif "label_selector" in given and given["label_selector"] not in (None, {}):
        raise TypeError(f"label_selector must be a dictionary, not {given['label_selector']!r}")
    if given.get("fallback_strategy") is not None:
        where = msgspec.structs.replace(
            where or Where(), otherwise=_fallbacks(given["fallback_strategy"])
        )
        if where == Where(otherwise=where.otherwise):
            where = base  # without a selector there is nothing to fall back from
    return rest, where


def _check_kinds(bundle: Any, captures: Any) -> None:
    if isinstance(bundle, bool) or not isinstance(bundle, int):
        kind = type(bundle).__name__
        raise TypeError(f"placement_group_bundle_index must be an integer, not {kind}")
    if captures is not None and not isinstance(captures, bool):
        kind = type(captures).__name__
        raise TypeError(f"placement_group_capture_child_tasks must be True or False, not {kind}")


def _fallbacks(value: Any) -> tuple[tuple[Condition, ...], ...]:
    from nbray.labels import selector

    if not isinstance(value, list):
        raise TypeError(
            "The type of keyword 'fallback_strategy' must be (<class 'list'>, <class 'NoneType'>), "
            f"but received type {type(value)}"
        )
    found = []
    for one in value:
        if not isinstance(one, dict):
            raise ValueError("Each element in fallback_strategy must be a dictionary.")
        if not one:
            raise ValueError("Empty dictionary found in `fallback_strategy`.")
        for option in one:
            if option != "label_selector":
                raise ValueError(
                    f"Unsupported option found: '{option}'. Only ['label_selector'] is currently "
                    "supported."
                )
        if not isinstance(one["label_selector"] or {}, dict):
            raise ValueError('The value of "label_selector" must be a dictionary.')
        found.append(selector("fallback_strategy", one["label_selector"] or {}))
    return tuple(found)


def _strategy(value: Any) -> Where:
    if isinstance(value, str):
        if value not in {"DEFAULT", "SPREAD"}:
            raise ValueError(
                f"Invalid scheduling_strategy value {value}. Valid values are "
                '["DEFAULT" | "SPREAD" | PlacementGroupSchedulingStrategy | '
                "NodeAffinitySchedulingStrategy]"
            )
        return Where(spread=value == "SPREAD", group=APART)
    made = getattr(type(value), "_where", None)
    if made is None or not hasattr(value, "_is_strategy"):
        raise TypeError(
            "The type of keyword 'scheduling_strategy' must be a string or one of the strategies "
            f"of nbray.util.scheduling_strategies, but received type {type(value)}"
        )
    found: Where = made(value)
    return found


def check_bundles(
    what: str, where: Where, need: Mapping[str, float], to_start: bool = False
) -> None:
    """Refuse what no bundle of its placement group can hold; *to_start*, an actor needs a CPU.

    Raises:
        ValueError: there is no such bundle, or none that is large enough.
    """
    if not where.sizes:
        return
    count = len(where.sizes)
    if not -1 <= where.bundle < count:
        raise ValueError(
            f"placement group bundle index {where.bundle} is invalid. Valid placement group "
            f"indexes: 0-{count}"
        )
    bundles = [dict(size) for size in where.sizes]

    def fits(asked: Mapping[str, float]) -> bool:
        return any(
            all(bundle.get(name, 0) >= amount for name, amount in asked.items())
            for bundle in bundles
        )

    if not fits(need):
        raise ValueError(
            f"Cannot schedule {what} with the placement group because the resource request "
            f"{dict(need)} cannot fit into any bundles for the placement group, {bundles}."
        )
    if to_start and not fits({"CPU": 1}):
        raise ValueError(
            f"Cannot schedule {what} with the placement group because the actor requires 1 CPU "
            f"for creation, but it cannot fit into any bundles for the placement group, {bundles}. "
            "Consider creating a placement group with CPU resources."
        )
