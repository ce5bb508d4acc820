"""Ray's words for places: handles of placement groups, selectors of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup

from nbray.where import Condition


def theirs_of(group: str) -> Any:
    """Ray's handle of the group with this id."""
    return PlacementGroup(ray.PlacementGroupID(bytes.fromhex(group)))


def selector(conditions: Sequence[Condition]) -> dict[str, str]:
    """Conditions on labels as a selector writes them."""
    return {key: _words(how, values) for key, how, values in conditions}


def _words(how: str, values: tuple[str, ...]) -> str:
    if how == "in":
        return values[0] if len(values) == 1 else f"in({', '.join(values)})"
    return f"!{values[0]}" if len(values) == 1 else f"!in({', '.join(values)})"
