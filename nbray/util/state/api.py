"""The calls of Ray's state API: list, get and sum up what a cluster has and does.

Owns the calls. They wait for everybody's answer, for `timeout` seconds at most; what is known
of ended things is bounded: of each worker the last 2,000 tasks, of each node 10,000 tasks and
1,000 processes that are gone, of the cluster 200 dead actors. Without an address they ask the
cluster that this program uses, else the one of NBRAY_ADDRESS or RAY_ADDRESS, else the one
that runs on this machine.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nbray import details as d
from nbray.util.state import choosing, summaries
from nbray.util.state.common import (
    DEFAULT_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    RAY_MAX_LIMIT_FROM_API_SERVER,
    SCHEMAS,
    ActorState,
    ClusterEventState,
    Filter,
    GetApiOptions,
    JobState,
    ListApiOptions,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    StateResource,
    SummaryApiOptions,
    SummaryResource,
    TaskState,
    WorkerState,
)
from nbray.util.state.exception import RayStateApiException, ServerUnavailable
from nbray.util.state.readings import Reading, Row, group_rows

if TYPE_CHECKING:
    from nbray.engine import Engine

_R = StateResource
Rows = list[Row]
_WANTED = {
    _R.TASKS: d.TASKS | d.ACTORS,
    _R.ACTORS: d.TASKS | d.ACTORS,
    _R.OBJECTS: d.TASKS | d.OBJECTS | d.ACTORS,
    _R.WORKERS: d.TASKS,
    _R.JOBS: d.TASKS,
    _R.RUNTIME_ENVS: d.TASKS,
}
"""What each list asks processes for; where they end is told with their tasks."""
_IDENTITY = {
    _R.NODES: "node_id", _R.ACTORS: "actor_id", _R.PLACEMENT_GROUPS: "placement_group_id",
    _R.WORKERS: "worker_id", _R.TASKS: "task_id", _R.OBJECTS: "object_id",
    _R.JOBS: "submission_id",
}  # fmt: skip


class StateApiClient:
    """Asks one cluster, as often as it is told to.

    Args:
        address: 'host:port', 'auto', or the dashboard's link; None: see the module.
        cookies, headers: accepted as Ray's are, without effect.
    """

    def __init__(self, address: str | None = None, cookies: Any = None, headers: Any = None):
        self._address = address

    def list(
        self, resource: StateResource, options: ListApiOptions,
        raise_on_missing_output: bool = True, _explain: bool = False,
    ) -> Sequence[Any]:  # fmt: skip
        """Records of what passes the filters, `options.limit` at most.

        Raises:
            RayStateApiException: an unknown field in a filter, a limit out of range, or a part
                of the cluster has not answered.
            ServerUnavailable: there is no cluster.
        """
        if options.has_conflicting_filters():
            return []
        _check_limit(options.limit)
        schema = SCHEMAS[resource]
        filters = choosing.convert(schema, options.filters)
        rows = self._rows(resource, options.timeout, raise_on_missing_output)
        found = [row for row in rows if choosing.passes(row, filters)]
        if _explain and len(found) > options.limit:
            warnings.warn(
                f"Limit last {options.limit} entries (Total {len(found)}). Use `--filter` to "
                "reduce the amount of data to return or setting a higher limit with `--limit` "
                "to see all data. ",
                stacklevel=3,
            )
        return choosing.states(schema, found[: options.limit], options.detail)

    def get(
        self, resource: StateResource, id: Any, options: GetApiOptions | None = None,
        _explain: bool = False,
    ) -> Any:  # fmt: skip
        """The record of that id with all details; None if there is none.

        Of objects a list. Of a task that was tried several times a list of the attempts.

        Raises:
            ValueError: *resource* has no ids.
            RayStateApiException: *id* is none, of a task, an actor or a node.
        """
        if resource not in _IDENTITY:
            raise ValueError(f"Can't get {resource.name} by id.")
        if hasattr(id, "hex") and not isinstance(id, str):
            id = id.hex()
        if resource in (_R.TASKS, _R.ACTORS, _R.NODES):
            choosing.check_id(str(id))
        timeout = (options or GetApiOptions()).timeout
        rows = self._rows(resource, timeout, False)
        key = _IDENTITY[resource]
        wanted = str(id).lower()
        chosen = [row for row in rows if str(row[key]).lower() == wanted]
        if not chosen and resource is _R.JOBS:
            chosen = [row for row in rows if row["job_id"] == id]
        found = choosing.states(SCHEMAS[resource], chosen, True)
        if not found:
            return None
        if resource is _R.OBJECTS or (resource is _R.TASKS and len(found) > 1):
            return found
        return found[0]

    def summary(
        self, resource: SummaryResource, *, options: SummaryApiOptions | None = None,
        raise_on_missing_output: bool = True, _explain: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """{'cluster': counts by name, class or call site}."""
        options = options or SummaryApiOptions()
        of = StateResource(resource.value)
        filters = choosing.convert(SCHEMAS[of], options.filters)
        rows = self._rows(of, options.timeout, raise_on_missing_output)
        chosen = [row for row in rows if choosing.passes(row, filters)]
        count: Callable[[Any], dict[str, Any]] = getattr(summaries, resource.value)
        return {"cluster": count(chosen)}

    def _rows(self, resource: StateResource, timeout: float, strict: bool) -> Rows:
        if resource is _R.CLUSTER_EVENTS:
            return []
        with connected(self._address) as (engine, own):
            wanted = _WANTED.get(resource, 0)
            if wanted and engine.capabilities.records:
                raise choosing.refused(engine.capabilities.records)
            details = engine.insight.complete(wanted, timeout) if wanted else d.Details()
            reading = Reading(details, engine.cluster.nodes(), details.me if own else 0)
            if resource is _R.PLACEMENT_GROUPS:
                rows = group_rows(engine.cluster.groups.find())
            else:
                rows = getattr(reading, resource.value)()
            if resource is _R.JOBS:
                submitted = _submitted(engine)
                programs = {row["job_id"] for row in submitted}
                rows = [row for row in rows if row["job_id"] not in programs] + submitted
        _say_missing(resource, details, rows, strict)
        return rows


def _check_limit(limit: Any) -> None:
    if type(limit) is not int:
        raise ValueError(f"limit must be an integer, not {limit!r}")
    if limit < 0:
        raise choosing.refused(f"the limit must be at least 0, not {limit}")
    most = RAY_MAX_LIMIT_FROM_API_SERVER
    if limit > most:
        raise choosing.refused(
            f"Given limit {limit} exceeds the supported limit {most}. Use a lower limit, or set "
            "the `RAY_MAX_LIMIT_FROM_API_SERVER` environment variable to a larger value."
        )


def _say_missing(
    resource: StateResource, details: d.Details, rows: list[Row], strict: bool
) -> None:
    """Say what is not in *rows*.

    Raises:
        RayStateApiException: a node has not answered, or there is more than is told; *strict*.
    """
    why = ""
    if details.silent_nodes:
        numbers = ", ".join(map(str, details.silent_nodes))
        why = (
            f"Failed to retrieve all {resource.value} from the cluster because they are not "
            f"reachable due to query failures to the data sources (node {numbers} did not answer "
            "in time)."
        )
    elif resource is _R.TASKS and details.unlisted:
        why = (
            f"Failed to retrieve all {len(rows) + details.unlisted} {resource.value} from the "
            "cluster because they are not reachable due to data truncation. It happens when the "
            f"returned data is too large (> {len(rows)})."
        )
    if why and strict:
        raise RayStateApiException(
            f"{why} To avoid raising an exception and allow having missing output, set "
            "`raise_on_missing_output=False`. "
        )
    if not why and details.silent:
        count = len(details.silent)
        why = (
            f"{count} process{'es' if count > 1 else ''} did not answer, for code there lets no "
            "other run: what ended there since it last answered is not listed"
        )
    if why:
        warnings.warn(why, stacklevel=5)


@contextlib.contextmanager
def connected(address: str | None = None) -> Iterator[tuple[Engine, bool]]:
    """The engine of the cluster at *address*, and whether it is attached for this alone.

    Raises:
        ServerUnavailable: there is none.
    """
    from nbray.clusters.local import engine_of
    from nbray.exceptions import RayError

    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(engine_of(address))
        except (RayError, OSError) as error:
            raise ServerUnavailable(
                f"Failed to connect to the cluster{' at ' + address if address else ''}: {error}"
            ) from error
        yield found


def _submitted(engine: Engine) -> list[Row]:
    from nbray.job_submission.client import ask
    from nbray.job_submission.records import details as described

    found = (ask(engine, "all") or {}) if engine.capabilities.processes else {}
    host = engine.context.runtime().address.rpartition(":")[0] if found else ""
    return [
        {**one.dict(), "type": one.type.value, "status": one.status.value}
        for one in (described(name, info, host) for name, info in found.items())
    ]


# -- functions ---------------------------------------------------------------------------


def _lists(
    resource: StateResource, address: str | None, filters: Any, limit: int, timeout: float,
    detail: bool, strict: bool, explain: bool,
) -> list[Any]:  # fmt: skip
    options = ListApiOptions(limit=limit, timeout=timeout, detail=detail, filters=filters)
    return list(StateApiClient(address).list(resource, options, strict, explain))


def list_actors(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[ActorState]:  # fmt: skip
    """Actors, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.ACTORS, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_placement_groups(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[PlacementGroupState]:  # fmt: skip
    """Placement groups, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.PLACEMENT_GROUPS, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_nodes(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[NodeState]:  # fmt: skip
    """Nodes, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.NODES, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_jobs(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[JobState]:  # fmt: skip
    """Drivers and submitted jobs, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.JOBS, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_workers(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[WorkerState]:  # fmt: skip
    """Worker and driver processes, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.WORKERS, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_tasks(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[TaskState]:  # fmt: skip
    """Attempts of tasks and actor calls, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.TASKS, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_objects(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[ObjectState]:  # fmt: skip
    """Objects, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.OBJECTS, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_runtime_envs(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[RuntimeEnvState]:  # fmt: skip
    """Runtime environments, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.RUNTIME_ENVS, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_cluster_events(
    address: str | None = None, filters: list[Filter] | None = None, limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT, detail: bool = False,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> list[ClusterEventState]:  # fmt: skip
    """Events, *limit* at most; see `StateApiClient.list`."""
    return _lists(
        _R.CLUSTER_EVENTS, address, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def get_actor(
    id: str, address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> ActorState | None:  # fmt: skip
    """The actor of that id, with details; None if there is none."""
    found: ActorState | None = StateApiClient(address).get(
        _R.ACTORS, id, GetApiOptions(timeout=timeout), _explain
    )
    return found


def get_placement_group(
    id: str, address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> PlacementGroupState | None:  # fmt: skip
    """The placement group of that id, with details; None if there is none."""
    found: PlacementGroupState | None = StateApiClient(address).get(
        _R.PLACEMENT_GROUPS, id, GetApiOptions(timeout=timeout), _explain
    )
    return found


def get_node(
    id: str, address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> NodeState | None:  # fmt: skip
    """The node of that id, with details; None if there is none."""
    found: NodeState | None = StateApiClient(address).get(
        _R.NODES, id, GetApiOptions(timeout=timeout), _explain
    )
    return found


def get_worker(
    id: str, address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> WorkerState | None:  # fmt: skip
    """The process of that id, with details; None if there is none."""
    found: WorkerState | None = StateApiClient(address).get(
        _R.WORKERS, id, GetApiOptions(timeout=timeout), _explain
    )
    return found


def get_task(
    id: Any, address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> TaskState | list[TaskState] | None:  # fmt: skip
    """The task of that id, with details (attempts if it was tried again); None if there is none."""
    found: TaskState | list[TaskState] | None = StateApiClient(address).get(
        _R.TASKS, id, GetApiOptions(timeout=timeout), _explain
    )
    return found


def get_job(
    id: str, address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> JobState | None:  # fmt: skip
    """The submitted job of that id, with details; None if there is none."""
    found: JobState | None = StateApiClient(address).get(
        _R.JOBS, id, GetApiOptions(timeout=timeout), _explain
    )
    return found


def get_objects(
    id: str, address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> list[ObjectState] | None:  # fmt: skip
    """What is known of the object of that id; None if there is none."""
    found: list[ObjectState] | None = StateApiClient(address).get(
        _R.OBJECTS, id, GetApiOptions(timeout=timeout), _explain
    )
    return found


def summarize_tasks(
    address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """{'cluster': how many tasks are in which state}."""
    options = SummaryApiOptions(timeout=timeout)
    return StateApiClient(address).summary(
        SummaryResource.TASKS, options=options,
        raise_on_missing_output=raise_on_missing_output, _explain=_explain,
    )


def summarize_actors(
    address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """{'cluster': how many actors are in which state}."""
    options = SummaryApiOptions(timeout=timeout)
    return StateApiClient(address).summary(
        SummaryResource.ACTORS, options=options,
        raise_on_missing_output=raise_on_missing_output, _explain=_explain,
    )


def summarize_objects(
    address: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True, _explain: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """{'cluster': how many objects are in which state}."""
    options = SummaryApiOptions(timeout=timeout)
    return StateApiClient(address).summary(
        SummaryResource.OBJECTS, options=options,
        raise_on_missing_output=raise_on_missing_output, _explain=_explain,
    )
