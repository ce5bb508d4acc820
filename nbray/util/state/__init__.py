"""Ray's `ray.util.state`: what a cluster's tasks, actors, objects, processes and machines do.

Public names only; `api` has the calls, `common` the records that they give.
"""

from __future__ import annotations

from nbray.util.state.api import (
    StateApiClient,
    get_actor,
    get_job,
    get_node,
    get_objects,
    get_placement_group,
    get_task,
    get_worker,
    list_actors,
    list_cluster_events,
    list_jobs,
    list_nodes,
    list_objects,
    list_placement_groups,
    list_runtime_envs,
    list_tasks,
    list_workers,
    summarize_actors,
    summarize_objects,
    summarize_tasks,
)
from nbray.util.state.logs import get_log, list_logs

__all__ = [
    "StateApiClient", "get_actor", "get_job", "get_log", "get_node", "get_objects",
    "get_placement_group", "get_task", "get_worker", "list_actors", "list_cluster_events",
    "list_jobs", "list_logs", "list_nodes", "list_objects", "list_placement_groups",
    "list_runtime_envs", "list_tasks", "list_workers", "summarize_actors", "summarize_objects",
    "summarize_tasks",
]  # fmt: skip
