"""The runtime environments of a cluster, as rows of the state API.

Owns what is a row (an environment on a node, with all processes of that node that are in it) and
whether it has been made. Pure. Does not own what processes say of theirs (`nbray.details`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from nbray.details import EnvironmentRecord
from nbray.ids import node_of

_MADE_BY_WORKERS = frozenset({
    "pip", "uv", "working_dir", "py_modules", "worker_process_setup_hook",
})  # fmt: skip
"""Fields for which a node has to do something; an environment without any is there at once."""


def environment_rows(
    known: Mapping[int, EnvironmentRecord], node: Callable[[int], str | None]
) -> list[dict[str, Any]]:
    """A row for each environment on each node: those that are not made first, then the slowest.

    Args:
        known: what processes are in, by client id.
        node: the id of a node, by its number; None if it is not known.
    """
    found: dict[tuple[str, int], list[EnvironmentRecord]] = {}
    for client, one in known.items():
        found.setdefault((one.text, node_of(client)), []).append(one)
    rows = [_row(text, node(number), users) for (text, number), users in found.items()]
    rows.sort(key=lambda row: (row["success"], -(row["creation_time_ms"] or 0.0), row["node_id"]))
    return rows


def _row(text: str, node: str | None, users: list[EnvironmentRecord]) -> dict[str, Any]:
    env = json.loads(text)
    times = [one.seconds for one in users if one.seconds is not None]
    why = next((one.why for one in users if one.why), "")
    made = bool(times) or not (why or _MADE_BY_WORKERS & env.keys())
    return {
        "runtime_env": env,
        "success": made,
        "creation_time_ms": round(max(times, default=0.0) * 1000, 3),
        "node_id": node or "",
        "ref_cnt": sum(not one.why for one in users),
        "error": None if made else why or None,
    }


def serialized(known: Mapping[int, EnvironmentRecord], *clients: int) -> str:
    """The environment of the first of these processes that is known to have one, as JSON."""
    return next((known[client].text for client in clients if client in known), "{}")
