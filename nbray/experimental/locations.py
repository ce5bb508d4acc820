"""Where objects lie: Ray's `get_object_locations`."""

from __future__ import annotations

from typing import Any

from nbray import session
from nbray.api import is_initialized
from nbray.details import OBJECTS
from nbray.refs import ObjectRef

ASKED_SECONDS = 1.0
"""Seconds that nodes have to say what they have on disk."""


def get_object_locations(
    obj_refs: list[ObjectRef[Any]],
    timeout_ms: int = -1,  # noqa: ARG001 - Ray's: nothing is waited for for long
) -> dict[ObjectRef[Any], dict[str, Any]]:
    """Where copies of objects lie, of those that this process knows of.

    Args:
        timeout_ms: no effect: nothing is waited for.

    Returns:
        For each reference `node_ids` (of nodes with a copy in the store; none for an object
        that is so small that it travels in messages), `object_size` (bytes; None: not known
        yet) and `did_spill` (it lies on disk somewhere).

    Raises:
        RuntimeError: nbray does not run.
    """
    if not is_initialized():
        raise RuntimeError("Ray hasn't been initialized.")
    engine = session.require()
    known = {held.object.key: held.object for held in engine.insight.holdings()}
    spilled = {}
    seen = engine.insight.snapshot().nodes
    if not seen or any(node.figures.disk_used for node in seen):
        told = engine.insight.complete(OBJECTS, ASKED_SECONDS).objects
        spilled = {one.key: bool(one.disk) for one in told}
    names = {row.get("NodeNumber"): row["NodeID"] for row in engine.cluster.nodes()}
    found: dict[ObjectRef[Any], dict[str, Any]] = {}
    for ref in obj_refs:
        record = known.get(ref.key)
        if record is not None:
            nodes = [names[number] for number in record.nodes if number in names]
            found[ref] = {
                "node_ids": nodes, "object_size": record.size or None,
                "did_spill": spilled.get(ref.key, False),
            }  # fmt: skip
    return found


def get_local_object_locations(
    obj_refs: list[ObjectRef[Any]],
) -> dict[ObjectRef[Any], dict[str, Any]]:
    """The same; here it is the same."""
    return get_object_locations(obj_refs)
