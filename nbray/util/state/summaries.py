"""The summaries of the state API: how many tasks, actors and objects are in which state.

Pure: dictionaries in Ray's form from the rows of `readings`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

_MB = 1024 * 1024
_COUNTED = {
    "NORMAL_TASK": "total_tasks",
    "ACTOR_TASK": "total_actor_tasks",
    "ACTOR_CREATION_TASK": "total_actor_scheduled",
}


def tasks(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """By name: {'summary': {name: {func_or_class_name, type, state_counts}}, totals}."""
    summary: dict[str, Any] = {}
    totals = dict.fromkeys(_COUNTED.values(), 0)
    for row in rows:
        name = row["name"] or row["func_or_class_name"]
        one = summary.setdefault(
            name, {"func_or_class_name": name, "type": row["type"], "state_counts": {}}
        )
        _count(one["state_counts"], row["state"])
        totals[_COUNTED[row["type"]]] += 1
    return {"summary": summary, **totals, "summary_by": "func_name"}


def actors(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """By class: {'summary': {class: {class_name, state_counts}}, total_actors}."""
    summary: dict[str, Any] = {}
    total = 0
    for row in rows:
        name = row["class_name"]
        one = summary.setdefault(name, {"class_name": name, "state_counts": {}})
        _count(one["state_counts"], row["state"])
        total += 1
    return {"summary": summary, "total_actors": total, "summary_by": "class"}


def objects(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """By call site, of which nbray knows none: one entry, 'disabled', as Ray's is by default."""
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["call_site"]].append(row)
    summary = {site: _group(some) for site, some in groups.items()}
    return {
        "summary": summary,
        "total_objects": sum(one["total_objects"] for one in summary.values()),
        "total_size_mb": sum(one["total_size_mb"] for one in summary.values()),
        "callsite_enabled": "disabled" not in groups,
        "summary_by": "callsite",
    }


def _group(rows: list[dict[str, Any]]) -> dict[str, Any]:
    status: dict[str, int] = {}
    attempts: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for row in rows:
        _count(status, row["task_status"])
        _count(attempts, str(row["attempt_number"]))
        _count(kinds, row["reference_type"])
    return {
        "total_objects": len(rows),
        "total_size_mb": sum(max(0, row["object_size"]) for row in rows) / _MB,
        "total_num_workers": len({row["pid"] for row in rows}),
        "total_num_nodes": len({row["ip"] for row in rows}),
        "task_state_counts": status,
        "task_attempt_number_counts": attempts,
        "ref_type_counts": kinds,
    }


def _count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1
