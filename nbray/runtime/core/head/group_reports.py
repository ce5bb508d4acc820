"""What is said of placement groups: records for users and screens, and why one waits.

Owns the words and the form. Does not own the groups (`groups`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbray.details import GroupRecord
from nbray.figures import noun
from nbray.ids import node_hex
from nbray.labels import said
from nbray.runtime.core.head.bundle_plan import Ask, partly, plan
from nbray.runtime.core.placement import describe, fits, give, units, why_never, why_waiting
from nbray.wire import messages as m

STATES = ("PENDING", "CREATED", "RESCHEDULING", "REMOVED")
"""Ray's words for the states of `GroupState`."""


def record(
    spec: m.GroupSpec, state: int, nodes: Sequence[int], why: str, never: bool,
    attempts: int, delays: tuple[float, float], cluster: int,
) -> GroupRecord:  # fmt: skip
    """What is told of a group whose bundles are on *nodes* (0: on none yet)."""
    return GroupRecord(
        id=spec.id, name=spec.name, namespace=spec.namespace,
        bundles=tuple(units(bundle) for bundle in spec.bundles), strategy=spec.strategy,
        state=STATES[state],
        nodes=tuple(node_hex(number, cluster) if number else "" for number in nodes),
        why=why, never=never, attempts=attempts, delays=delays, detached=spec.detached,
        cell=spec.cell, job=spec.job,
    )  # fmt: skip


def why_not(
    ask: Ask, nodes: Sequence[m.NodeInfo], left: dict[int, m.Shape], count: int
) -> tuple[str, bool]:
    """(why a group of *count* bundles is not placed, whether no node that is there can help).

    *left* is what other groups and actors leave of each node.
    """
    never = plan(ask, nodes, {node.number: node.total for node in nodes}) is None
    room = {n.number: n.total for n in nodes} if never else left
    if ask.strategy == "STRICT_PACK":
        first: m.Shape = {}
        for bundle in ask.bundles.values():
            give(first, bundle)
        done = 0
    else:
        found = partly(ask, nodes, room)
        first = next(ask.bundles[index] for index in ask.bundles if index not in found)
        done = len(found) + count - len(ask.bundles)
    if never and ask.strategy == "STRICT_SPREAD" and done:
        further = f"there is no further one with {describe(first)}"
        why = f"each needs a node of its own, and {further}"
    elif never and (unlike := _unlike(ask, nodes)):
        why = unlike
    elif never and any(fits(first, node.total) for node in nodes):
        why = f"all nodes together have no room for another one of {describe(first)}"
    elif never:
        why = why_never(first, nodes)
    else:
        why = why_waiting(first, nodes)
    return f"{done} of {noun(count, 'bundle')} placed; {why}", never


def _unlike(ask: Ask, nodes: Sequence[m.NodeInfo]) -> str:
    """A bundle for which no node has the labels, in words."""
    for index in ask.bundles:
        if not any(ask.may(index, node) for node in nodes):
            return f"no node has {said(ask.selectors[index])}"
    return ""
