"""What the state API tells of a cluster: a record for each kind of thing, with Ray's fields.

Owns the records, the options of its calls and which fields can be filtered by. Does not own
where they come from (`readings`), nor the choice among them (`choosing`). Fields marked as
detailed are None unless `detail=True` asks for them. Times are milliseconds since the epoch.
"""

# ruff: noqa: RUF009 - `_plain` and `_detailed` are `dataclasses.field` with two words
from __future__ import annotations

import dataclasses
import os
import warnings
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Any

__all__ = [
    "DEFAULT_LIMIT", "DEFAULT_RPC_TIMEOUT", "RAY_MAX_LIMIT_FROM_API_SERVER", "ActorState",
    "ClusterEventState", "GetApiOptions", "JobState", "ListApiOptions", "NodeState", "ObjectState",
    "PlacementGroupState", "RuntimeEnvState", "StateResource", "StateSchema", "SummaryApiOptions",
    "SummaryResource", "TaskState", "WorkerState",
]  # fmt: skip

DEFAULT_LIMIT = 100
DEFAULT_RPC_TIMEOUT = 30
"""Seconds."""
RAY_MAX_LIMIT_FROM_API_SERVER = int(os.environ.get("RAY_MAX_LIMIT_FROM_API_SERVER", "10000"))
"""Most entries that one call gives."""

Filter = tuple[str, str, Any]
"""(field, '=' or '!=', value)."""


@unique
class StateResource(Enum):
    """What can be listed."""

    ACTORS = "actors"
    JOBS = "jobs"
    PLACEMENT_GROUPS = "placement_groups"
    NODES = "nodes"
    WORKERS = "workers"
    TASKS = "tasks"
    OBJECTS = "objects"
    RUNTIME_ENVS = "runtime_envs"
    CLUSTER_EVENTS = "cluster_events"


@unique
class SummaryResource(Enum):
    """What can be summed up."""

    ACTORS = "actors"
    TASKS = "tasks"
    OBJECTS = "objects"


def _checked(filters: Any) -> list[Filter]:
    """*filters* as a list of three each.

    Raises:
        ValueError: they are no such list, or compare in another way than '=' and '!='.
    """
    if filters is None:
        return []
    if not isinstance(filters, (list, tuple)):
        raise ValueError(
            f"filters: Input should be a valid list of (key, predicate, value), not {filters!r}"
        )
    found: list[Filter] = []
    for one in filters:
        if isinstance(one, str) or not isinstance(one, (list, tuple)) or len(one) != 3:
            raise ValueError(
                f"The given filter has incorrect input type, {one!r}. "
                "Provide (key, predicate, value) tuples."
            )
        key, predicate, value = one
        if predicate not in ("=", "!="):
            raise ValueError(
                f"Unsupported filter predicate {predicate} is given. "
                "Available predicates: =, !=."
            )
        found.append((str(key), predicate, value))
    return found


@dataclass
class ListApiOptions:
    """How a list is asked for."""

    limit: int = DEFAULT_LIMIT
    timeout: float = DEFAULT_RPC_TIMEOUT
    """Seconds."""
    detail: bool = False
    filters: list[Filter] = field(default_factory=list)
    exclude_driver: bool = True

    def __post_init__(self) -> None:
        self.filters = _checked(self.filters)

    def has_conflicting_filters(self) -> bool:
        """Whether no entry can pass, because one field would have to be two things; warns."""
        wanted: dict[str, Any] = {}
        for key, predicate, value in self.filters:
            if predicate != "=":
                continue
            if wanted.setdefault(key, value) != value:
                warnings.warn(
                    f"There are multiple '=' filters with the same key '{key}' but different "
                    f"values '{wanted[key]}' & '{value}'. Empty result set will be returned",
                    UserWarning,
                    stacklevel=2,
                )
                return True
        return False


@dataclass
class GetApiOptions:
    """How one thing is asked for."""

    timeout: float = DEFAULT_RPC_TIMEOUT


@dataclass
class SummaryApiOptions:
    """How a summary is asked for."""

    timeout: float = DEFAULT_RPC_TIMEOUT
    filters: list[Filter] = field(default_factory=list)
    summary_by: str | None = None

    def __post_init__(self) -> None:
        self.filters = _checked(self.filters)


def _plain(filterable: bool = True) -> Any:
    return field(metadata={"filterable": filterable, "detail": False})


def _detailed(filterable: bool = False) -> Any:
    return field(default=None, metadata={"filterable": filterable, "detail": True})


@dataclass
class StateSchema:
    """Base of the records: fields are attributes, and items too."""

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        """The fields, without *detail* those only that are always filled."""
        return [
            one.name for one in dataclasses.fields(cls) if detail or not one.metadata.get("detail")
        ]

    @classmethod
    def columns(cls) -> set[str]:
        """All fields."""
        return set(cls.list_columns())

    @classmethod
    def base_columns(cls) -> set[str]:
        """Those that are always filled."""
        return set(cls.list_columns(detail=False))

    @classmethod
    def detail_columns(cls) -> set[str]:
        """Those that are filled with `detail=True`: all."""
        return cls.columns()

    @classmethod
    def filterable_columns(cls) -> set[str]:
        """Those that filters may name."""
        return {one.name for one in dataclasses.fields(cls) if one.metadata.get("filterable")}

    def asdict(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return dataclasses.asdict(self)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def get(self, key: str, default: Any = None) -> Any:
        """The field *key*, or *default* where there is none of that name."""
        return getattr(self, key, default)


@dataclass
class ActorState(StateSchema):
    """An actor, dead ones of late included.

    `state` is DEPENDENCIES_UNREADY, PENDING_CREATION, ALIVE, RESTARTING or DEAD.
    """

    actor_id: str = _plain()
    class_name: str = _plain()
    state: str = _plain()
    job_id: str = _plain()
    name: str | None = _plain()
    node_id: str | None = _plain()
    pid: int | None = _plain()
    ray_namespace: str | None = _plain()
    serialized_runtime_env: str | None = _detailed()
    required_resources: dict[str, float] | None = _detailed()
    death_cause: dict[str, Any] | None = _detailed()
    is_detached: bool | None = _detailed()
    placement_group_id: str | None = _detailed(filterable=True)
    repr_name: str | None = _detailed(filterable=True)
    num_restarts: int | None = _detailed()
    num_restarts_due_to_lineage_reconstruction: int | None = _detailed()
    num_restarts_due_to_node_preemption: int | None = _detailed()
    call_site: str | None = _detailed()
    label_selector: dict[str, str] | None = _detailed()
    fallback_strategy: list[Any] | None = _detailed()


@dataclass
class PlacementGroupState(StateSchema):
    """A placement group; `state` is PENDING, CREATED, RESCHEDULING or REMOVED."""

    placement_group_id: str = _plain()
    name: str = _plain()
    creator_job_id: str = _plain()
    state: str = _plain()
    bundles: list[dict[str, Any]] | None = _detailed()
    is_detached: bool | None = _detailed(filterable=True)
    stats: dict[str, Any] | None = _detailed()
    topology_strategy: dict[str, Any] | None = _detailed()
    topology_assignments: dict[str, Any] | None = _detailed()


@dataclass
class NodeState(StateSchema):
    """A node, those that have left included; `state` is ALIVE or DEAD."""

    node_id: str = _plain()
    node_ip: str = _plain()
    is_head_node: bool = _plain()
    state: str = _plain()
    state_message: str | None = _plain(filterable=False)
    node_name: str = _plain()
    resources_total: dict[str, float] = _plain(filterable=False)
    labels: dict[str, str] = _plain(filterable=False)
    start_time_ms: int | None = _detailed()
    end_time_ms: int | None = _detailed()


@dataclass
class WorkerState(StateSchema):
    """A worker or driver process, ended ones of late included.

    `worker_type` is WORKER or DRIVER; `exit_type` None, INTENDED_SYSTEM_EXIT or SYSTEM_ERROR.
    """

    worker_id: str = _plain()
    is_alive: bool = _plain()
    worker_type: str = _plain()
    exit_type: str | None = _plain()
    node_id: str = _plain()
    ip: str = _plain()
    pid: int = _plain()
    exit_detail: str | None = _detailed()
    worker_launch_time_ms: int | None = _detailed()
    worker_launched_time_ms: int | None = _detailed()
    start_time_ms: int | None = _detailed()
    end_time_ms: int | None = _detailed()
    debugger_port: int | None = _detailed(filterable=True)
    num_paused_threads: int | None = _detailed(filterable=True)


@dataclass
class ClusterEventState(StateSchema):
    """An event; nbray records none."""

    severity: str = _plain()
    time: str = _plain(filterable=False)
    source_type: str = _plain()
    message: str = _plain(filterable=False)
    event_id: str = _plain()
    custom_fields: dict[str, Any] | None = _detailed()


@dataclass
class TaskState(StateSchema):
    """One attempt of a task or actor call, unfinished or ended of late.

    `state` is PENDING_ARGS_AVAIL, PENDING_NODE_ASSIGNMENT, SUBMITTED_TO_WORKER, RUNNING,
    FINISHED or FAILED; `type` NORMAL_TASK, ACTOR_TASK or ACTOR_CREATION_TASK; `error_type`
    None or Ray's word, like TASK_EXECUTION_EXCEPTION.
    """

    task_id: str = _plain()
    attempt_number: int = _plain()
    name: str = _plain()
    state: str = _plain()
    job_id: str = _plain()
    actor_id: str | None = _plain()
    type: str = _plain()
    func_or_class_name: str = _plain()
    parent_task_id: str = _plain()
    node_id: str | None = _plain()
    worker_id: str | None = _plain()
    worker_pid: int | None = _plain()
    error_type: str | None = _plain()
    language: str | None = _detailed(filterable=True)
    required_resources: dict[str, float] | None = _detailed()
    runtime_env_info: dict[str, Any] | None = _detailed()
    placement_group_id: str | None = _detailed(filterable=True)
    events: list[dict[str, Any]] | None = _detailed()
    profiling_data: dict[str, Any] | None = _detailed()
    creation_time_ms: int | None = _detailed()
    start_time_ms: int | None = _detailed()
    end_time_ms: int | None = _detailed()
    task_log_info: dict[str, Any] | None = _detailed()
    error_message: str | None = _detailed()
    is_debugger_paused: bool | None = _detailed(filterable=True)
    call_site: str | None = _detailed()
    label_selector: dict[str, str] | None = _detailed()
    fallback_strategy: list[Any] | None = _detailed()


@dataclass
class ObjectState(StateSchema):
    """One object, told by its owner.

    `object_size` is in bytes, -1 while it is not known; `reference_type` LOCAL_REFERENCE,
    USED_BY_PENDING_TASK, PINNED_IN_MEMORY (a process has a value over its memory) or ACTOR_HANDLE;
    `task_status` that of the task that makes it; `call_site` the line that made it ("disabled"
    where that is not recorded: see RAY_record_ref_creation_sites). nbray's own, with `detail`:
    `nodes` where it lies, `spilled` those that have it on disk, `pins` how many processes use it.
    """

    object_id: str = _plain()
    object_size: int = _plain()
    task_status: str = _plain()
    attempt_number: int = _plain()
    reference_type: str = _plain()
    call_site: str = _plain()
    type: str = _plain()
    pid: int = _plain()
    ip: str = _plain()
    nodes: list[str] | None = _detailed()
    spilled: list[str] | None = _detailed()
    pins: int | None = _detailed()


@dataclass
class RuntimeEnvState(StateSchema):
    """A runtime environment that a node has made."""

    runtime_env: dict[str, Any] = _plain()
    success: bool = _plain()
    creation_time_ms: float | None = _plain(filterable=False)
    node_id: str = _plain()
    ref_cnt: int | None = _detailed()
    error: str | None = _detailed(filterable=True)


@dataclass
class JobState(StateSchema):
    """A driver (`type` DRIVER) or a submitted job (SUBMISSION).

    `status` is PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
    """

    type: str = _plain()
    job_id: str | None = _plain()
    submission_id: str | None = _plain()
    driver_info: dict[str, Any] | None = _plain(filterable=False)
    status: str = _plain()
    entrypoint: str = _plain(filterable=False)
    message: str | None = _plain(filterable=False)
    error_type: str | None = _plain(filterable=False)
    start_time: int | None = _detailed()
    end_time: int | None = _detailed()
    metadata: dict[str, str] | None = _detailed()
    runtime_env: dict[str, Any] | None = _detailed()
    driver_agent_http_address: str | None = _detailed()
    driver_node_id: str | None = _detailed()
    driver_exit_code: int | None = _detailed()


SCHEMAS: dict[StateResource, type[StateSchema]] = {
    StateResource.ACTORS: ActorState,
    StateResource.JOBS: JobState,
    StateResource.PLACEMENT_GROUPS: PlacementGroupState,
    StateResource.NODES: NodeState,
    StateResource.WORKERS: WorkerState,
    StateResource.TASKS: TaskState,
    StateResource.OBJECTS: ObjectState,
    StateResource.RUNTIME_ENVS: RuntimeEnvState,
    StateResource.CLUSTER_EVENTS: ClusterEventState,
}
