"""Ray's `ray.util.scheduling_strategies`: where tasks and actors run.

Owns the classes users give as `scheduling_strategy=`, and their checks. Does not own what they
mean for work (`nbray.options.Where`, which each becomes). `"SPREAD"` and `"DEFAULT"` are strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbray.where import Condition, Where

__all__ = [
    "DoesNotExist", "Exists", "In", "NodeAffinitySchedulingStrategy",
    "NodeLabelSchedulingStrategy", "NotIn", "PlacementGroupSchedulingStrategy",
]  # fmt: skip


class PlacementGroupSchedulingStrategy:
    """In a placement group: in bundle *placement_group_bundle_index* (-1: in any).

    With *placement_group_capture_child_tasks* so does what the work launches in turn.
    """

    _is_strategy = True

    def __init__(
        self, placement_group: Any, placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:  # fmt: skip
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks

    def _where(self) -> Where:
        index = self.placement_group_bundle_index
        if self.placement_group is None:
            if index != -1:
                raise ValueError(
                    "If placement group is not set, the value of bundle index must be -1."
                )
            return Where(group="-")
        found: Where = self.placement_group._where(
            index, self.placement_group_capture_child_tasks
        )
        return found


class NodeAffinitySchedulingStrategy:
    """On the node of this id (hexadecimal, as `nodes()` has it).

    Args:
        node_id: the node's.
        soft: elsewhere, if the node is not there or can never do it; else that is
            a `TaskUnschedulableError` or `ActorUnschedulableError`.
        _spill_on_unavailable: with *soft*, elsewhere while it is busy, too.
        _fail_on_unavailable: without *soft*, fail rather than wait while it is busy.

    Raises:
        ValueError: it is no node's id, or the last two do not go with *soft*.
    """

    _is_strategy = True

    def __init__(
        self, node_id: str, soft: bool, _spill_on_unavailable: bool = False,
        _fail_on_unavailable: bool = False,
    ) -> None:  # fmt: skip
        given: Any = node_id
        self.node_id: str = given if isinstance(given, str) else given.hex()
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable
        try:
            known = any(bytes.fromhex(self.node_id)) and len(self.node_id) >= 32
        except ValueError:
            known = False
        if not known:
            raise ValueError(
                f"Invalid node_id '{self.node_id}'. Node ID must be a valid hex string. To get a "
                "list of all nodes and their IDs in your cluster, use nbray.nodes()."
            )
        if _spill_on_unavailable and not soft:
            raise ValueError(
                "_spill_on_unavailable cannot be set when soft is False. Please set soft to True "
                "to use _spill_on_unavailable."
            )
        if _fail_on_unavailable and soft:
            raise ValueError(
                "_fail_on_unavailable cannot be set when soft is True. Please set soft to False "
                "to use _fail_on_unavailable."
            )

    def _where(self) -> Where:
        return Where(
            node_id=self.node_id, soft=bool(self.soft), spill=self._spill_on_unavailable,
            fail=self._fail_on_unavailable, group="-",
        )  # fmt: skip


class _Values:
    _kind = ""

    def __init__(self, *values: str) -> None:
        name = type(self).__name__
        if not values:
            raise ValueError(
                f"The variadic parameter of the {name} operator must be a non-empty tuple: "
                f'e.g. {name}("value1", "value2").'
            )
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise ValueError(
                    f"Type of value in position {index} for the {name} operator must be str "
                    f'(e.g. {name}("value1", "value2")) but got {value} of type {type(value)}.'
                )
        self.values = list(values)


class In(_Values):
    """The label has one of these values."""

    _kind = "in"


class NotIn(_Values):
    """The label has none of these values, or the node does not have it."""

    _kind = "not in"


class Exists:
    """The node has the label."""

    _kind = "exists"


class DoesNotExist:
    """The node does not have the label."""

    _kind = "lacks"


_OPERATORS = (In, NotIn, Exists, DoesNotExist)


class NodeLabelSchedulingStrategy:
    """On a node with these labels: `{"zone": In("a", "b"), "gpu": Exists()}`.

    *hard* ones must be so (work waits for a node that joins with them), *soft* ones are, if such
    a node is there.

    Raises:
        ValueError: neither, or something that is no dictionary of a label's name to an operator.
    """

    _is_strategy = True

    def __init__(self, hard: Any, *, soft: Any = None) -> None:
        self.hard = _conditions(hard, "hard")
        self.soft = _conditions(soft, "soft")
        if not (self.hard or self.soft):
            raise ValueError(
                "The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be "
                "empty."
            )

    def _where(self) -> Where:
        return Where(hard=self.hard, wished=self.soft, group="-")


def _conditions(given: Any, name: str) -> tuple[Condition, ...]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise ValueError(
            f'The {name} parameter must be a map (e.g. {{"key1": In("value1")}}) but got type '
            f"{type(given)}."
        )
    found: list[Condition] = []
    for key, value in given.items():
        if not isinstance(key, str):
            raise ValueError(
                f"The map key of the {name} parameter must be of type str (e.g. "
                f'{{"key1": In("value1")}}) but got {key} of type {type(key)}.'
            )
        if not isinstance(value, _OPERATORS):
            raise ValueError(
                f"The map value for key {key} of the {name} parameter must be one of the `In`, "
                '`NotIn`, `Exists` or `DoesNotExist` operator (e.g. {"key1": In("value1")}) but '
                f"got {value} of type {type(value)}."
            )
        found.append((key, value._kind, tuple(getattr(value, "values", ()))))
    return tuple(found)
