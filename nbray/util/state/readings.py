"""What an engine knows of its cluster, as rows with the fields of the state API.

Owns the words: states, kinds of errors, ids in hexadecimal. Pure. Does not own what is known
(`nbray.details`), nor what drivers are as jobs (`job_submission.drivers`).
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from nbray import details as d
from nbray.ids import (
    OWN_CELL,
    actor_hex,
    driver_task_hex,
    is_driver,
    job_hex,
    node_of,
    object_hex,
    task_hex,
    worker_hex,
)  # fmt: skip
from nbray.util.state.environment_rows import environment_rows, serialized

Row = dict[str, Any]

_TASKS = {
    d.WAITING: "PENDING_ARGS_AVAIL",
    d.QUEUED: "PENDING_NODE_ASSIGNMENT",
    d.SENT: "PENDING_NODE_ASSIGNMENT",
    d.RUNNING: "RUNNING",
    d.DONE: "FINISHED",
    d.FAILED: "FAILED",
    d.CANCELLED: "FAILED",
}
"""Tasks that stand behind another one at a worker wait as if they stood at the node."""
_ACTORS = ("PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD")
_INIT_RAISED = "its __init__ raised"
"""In the cause of an actor's end: see `nbray.wire.failures.unmade`."""
_REASONS = (
    ("it was killed", "RAY_KILL"), ("last handle", "OUT_OF_SCOPE"), ("reference", "OUT_OF_SCOPE"),
    ("its owner has died", "OWNER_DIED"), ("is gone", "NODE_DIED"),
)  # fmt: skip
"""Words of such a cause, and what Ray calls it; a worker has died for any other."""


class Reading:
    """One look at a cluster: *details*, and its *nodes* as `Cluster.nodes` gives them.

    A driver whose client id is *hidden* is left out: it is there only to look.
    """

    def __init__(self, details: d.Details, nodes: list[Row], hidden: int = 0) -> None:
        self.details = details
        self._nodes = {int(node.get("NodeNumber", 1)): node for node in nodes}
        self._hidden = hidden
        self._epoch = details.wall - details.now if details.wall else 0.0
        self._pids = {one.client: one.pid for one in (*details.gone, *details.processes)}

    # -- small things

    def _node(self, number: int) -> str | None:
        node = self._nodes.get(number)
        return node["NodeID"] if node is not None else None

    def _ip(self, number: int) -> str:
        node = self._nodes.get(number)
        return str(node["NodeManagerAddress"]) if node is not None else ""

    def _environment(self, *clients: int) -> str:
        return serialized(self.details.environments, *clients)

    def _ms(self, at: float) -> int | None:
        return round((at + self._epoch) * 1000) if at else None

    # -- tasks

    def tasks(self) -> list[Row]:
        """Attempts of tasks and calls, the constructors of actors included."""
        records = [one for one in self.details.tasks if one.listed and one.cell != OWN_CELL]
        parents = _Parents(records)
        rows: dict[tuple[str, int], Row] = {}
        unfinished: list[tuple[d.TaskRecord, int]] = []
        ended: defaultdict[tuple[int, int], list[d.TaskRecord]] = defaultdict(list)
        for one in records:
            if one.ended:
                ended[one.key].append(one)
            else:
                unfinished.append((one, one.attempt))
        numbered = unfinished + [
            (one, number)
            for attempts in ended.values()
            for number, one in enumerate(sorted(attempts, key=lambda one: one.ended))
        ]
        for one, attempt in numbered:  # what has ended comes last: it counts more
            row = self._task(one, attempt, parents.of(one))
            rows[row["task_id"], attempt] = row
        found = [*rows.values(), *self._constructors()]
        found.sort(key=lambda row: (row["task_id"], row["attempt_number"]))
        return found

    def _task(self, one: d.TaskRecord, attempt: int, parent: str) -> Row:
        calls = one.actor != (0, 0)
        state = _TASKS[one.state]
        if calls and one.state == d.SENT:
            state = "SUBMITTED_TO_WORKER"
        worker = one.worker
        failed = one.state in {d.FAILED, d.CANCELLED}
        name = one.name
        if calls and one.defined:  # who names a call names it without its class
            name = one.name.rpartition(".")[2]
        events = [
            {"state": word, "created_ms": self._ms(at)}
            for word, at in (("RUNNING", one.started), (state, one.ended))
            if at
        ]
        return {
            "task_id": one.hex(),
            "attempt_number": attempt,
            "name": name,
            "state": state,
            "job_id": job_hex(one.job),
            "actor_id": actor_hex(*one.actor) if calls else None,
            "type": "ACTOR_TASK" if calls else "NORMAL_TASK",
            "func_or_class_name": one.defined or one.name,
            "parent_task_id": parent,
            "node_id": self._node(node_of(worker)) if worker else None,
            "worker_id": worker_hex(worker) if worker else None,
            "worker_pid": self._pids.get(worker) if worker else None,
            "error_type": _error_type(one, calls) if failed else None,
            "language": "PYTHON",
            "required_resources": dict(one.resources),
            "runtime_env_info": {"serialized_runtime_env": self._environment(worker, one.job)},
            "placement_group_id": _group(one.resources),
            "events": events,
            "profiling_data": {},
            "creation_time_ms": self._ms(one.started or one.ended),
            "start_time_ms": self._ms(one.started),
            "end_time_ms": self._ms(one.ended),
            "task_log_info": None,
            "error_message": (one.why or "the task was cancelled") if failed else None,
            "is_debugger_paused": None,
            "call_site": None,
            "label_selector": {},
            "fallback_strategy": None,
        }

    def _constructors(self) -> Iterable[Row]:
        for one in self.details.actors:
            if one.cell == OWN_CELL:
                continue
            failed = one.state == 3 and "__init__" in one.cause
            state = "PENDING_NODE_ASSIGNMENT" if one.state == 0 else "FINISHED"
            record = d.TaskRecord(
                one.owner, 0, f"{one.class_name}.__init__", one.cell, one.job,
                d.DONE if state == "FINISHED" else d.QUEUED, one.worker, actor=one.key,
                resources=one.resources, why=one.cause, defined=f"{one.class_name}.__init__",
            )  # fmt: skip
            row = self._task(record, 0, driver_task_hex(one.job))
            prefix = f"{one.name}:" if one.name else ""
            yield row | {
                "runtime_env_info": {"serialized_runtime_env": one.environment or "{}"},
                "task_id": "f" * 16 + row["actor_id"],
                "name": f"{prefix}{one.class_name}.__init__",
                "type": "ACTOR_CREATION_TASK",
                "state": "FAILED" if failed else state,
                "error_type": "TASK_EXECUTION_EXCEPTION" if failed else None,
                "error_message": one.cause if failed else None,
            }

    # -- actors

    def actors(self) -> list[Row]:
        """Actors, dead ones of late included."""
        return [self._actor(one) for one in self.details.actors if one.cell != OWN_CELL]

    def _actor(self, one: d.ActorRecord) -> Row:
        state = _ACTORS[one.state]
        pid = self._pids.get(one.worker, 0)
        return {
            "actor_id": actor_hex(*one.key),
            "class_name": one.class_name,
            "state": state,
            "job_id": job_hex(one.job),
            "name": one.name,
            "node_id": self._node(one.node) if one.node else None,
            "pid": pid,
            "ray_namespace": one.namespace,
            "serialized_runtime_env": one.environment or "{}",
            "required_resources": dict(one.resources),
            "death_cause": self._death(one, pid) if state == "DEAD" else None,
            "is_detached": one.detached,
            "placement_group_id": _group(one.resources),
            "repr_name": "",
            "num_restarts": one.restarts,
            "num_restarts_due_to_lineage_reconstruction": 0,
            "num_restarts_due_to_node_preemption": 0,
            "call_site": None,
            "label_selector": {},
            "fallback_strategy": None,
        }

    def _death(self, one: d.ActorRecord, pid: int) -> Row:
        """Why it has ended, in the form that Ray has for each kind of end."""
        if _INIT_RAISED in one.cause:
            said = {"formatted_exception_string": one.cause, "language": "PYTHON"}
            return {"creation_task_failure_context": {**said, "serialized_exception": ""}}
        if one.cause.startswith("RuntimeEnvSetupError"):
            return {"runtime_env_failed_context": {"error_message": one.cause}}
        found = (reason for words, reason in _REASONS if words in one.cause)
        return {
            "actor_died_error_context": {
                "error_message": one.cause,
                "reason": next(found, "WORKER_DIED"),
                "class_name": one.class_name,
                "actor_id": actor_hex(*one.key),
                "name": one.name,
                "ray_namespace": one.namespace,
                "owner_id": worker_hex(one.owner),
                "owner_ip_address": self._ip(node_of(one.owner)),
                "node_ip_address": self._ip(one.node),
                "pid": pid,
                "never_started": not one.worker,
            }
        }

    # -- objects

    def objects(self) -> list[Row]:
        """Objects of all processes, handles of actors included."""
        status = {
            one.key: _TASKS[one.state] for one in self.details.tasks if not one.ended
        }
        rows = [
            self._object(
                one.owner, one.hex(),
                object_size=one.size if one.state in {1, 2} else -1,
                task_status=status.get(one.key, "FINISHED" if one.state else "PENDING_ARGS_AVAIL"),
                reference_type="USED_BY_PENDING_TASK" if one.used
                else "PINNED_IN_MEMORY" if one.pins else "LOCAL_REFERENCE",
                call_site=one.site or "disabled", pins=one.pins,
                nodes=[self._ip(node) for node in one.nodes],
                spilled=[self._ip(node) for node in one.disk],
            )
            for one in self.details.objects
        ]  # fmt: skip
        rows += [
            self._object(
                one.owner, object_hex(*one.key), object_size=-1, task_status="NIL",
                reference_type="ACTOR_HANDLE",
            )
            for one in self.details.actors
            if one.state != 3 and one.cell != OWN_CELL
        ]  # fmt: skip
        return rows

    def _object(self, owner: int, identity: str, **more: Any) -> Row:
        return {
            "object_id": identity,
            "attempt_number": 1,
            "call_site": "disabled",
            "type": "DRIVER" if is_driver(owner) else "WORKER",
            "pid": self._pids.get(owner, 0),
            "ip": self._ip(node_of(owner)),
            **more,
        }

    # -- processes and machines

    def workers(self) -> list[Row]:
        """Drivers and workers, ended ones of late included."""
        return [
            {
                "worker_id": worker_hex(one.client),
                "is_alive": alive,
                "worker_type": "DRIVER" if one.driver else "WORKER",
                "exit_type": None if alive else _exit_type(one),
                "node_id": self._node(node_of(one.client)) or "",
                "ip": self._ip(node_of(one.client)),
                "pid": one.pid,
                "exit_detail": None if alive else one.why,
                "worker_launch_time_ms": None,
                "worker_launched_time_ms": None,
                "start_time_ms": None,
                "end_time_ms": 0 if alive else self._ms(one.ended),
                "debugger_port": None,
                "num_paused_threads": None,
            }
            for one, alive in self._processes()
        ]  # fmt: skip

    def _processes(self) -> list[tuple[d.ProcessRecord, bool]]:
        live = {one.client: one for one in self.details.processes}
        gone = [one for one in self.details.gone if one.client not in live]
        everybody = [(one, True) for one in live.values()] + [(one, False) for one in gone]
        return [(one, alive) for one, alive in everybody if one.client != self._hidden]

    def nodes(self) -> list[Row]:
        """Machines, those that have left included."""
        return [
            {
                "node_id": node["NodeID"],
                "node_ip": node["NodeManagerAddress"],
                "is_head_node": bool(node.get("IsHead", True)),
                "state": "ALIVE" if node["Alive"] else "DEAD",
                "state_message": node.get("DeathReasonMessage") or None,
                "node_name": node["NodeName"],
                "resources_total": node["Resources"],
                "labels": node["Labels"],
                "start_time_ms": node.get("StartTimeMs"),
                "end_time_ms": 0 if node["Alive"] else None,
            }
            for node in self._nodes.values()
        ]

    def runtime_envs(self) -> list[Row]:
        """Environments on nodes on which somebody is in them."""
        live = {one.client for one, alive in self._processes() if alive}
        known = {key: one for key, one in self.details.environments.items() if key in live}
        return environment_rows(known, self._node)

    def jobs(self) -> list[Row]:
        """Drivers."""
        from nbray.job_submission.drivers import drivers  # late: few list jobs

        return [
            {**one.dict(), "type": one.type.value, "status": one.status.value}
            for one in drivers(self.details, self._nodes, self._hidden)
        ]


class _Parents:
    """Which task submitted which: what its owner says, or what its owner's worker ran then."""

    def __init__(self, records: Iterable[d.TaskRecord]) -> None:
        self._ran: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)
        for one in records:
            if one.worker and one.started:
                self._ran[one.worker].append((one.started, one.hex()))
        for some in self._ran.values():
            some.sort()

    def of(self, one: d.TaskRecord) -> str:
        """The id of the parent of *one*; a driver's is made of its job's."""
        if one.parent != (0, 0):
            return task_hex(one.parent[0], one.parent[1] & ((1 << 64) - 1))
        ran = self._ran.get(one.owner)
        if ran and not is_driver(one.owner):
            place = bisect.bisect_right(ran, (one.started or float("inf"), "g"))
            if place:
                return ran[place - 1][1]
        return driver_task_hex(one.job)


def group_rows(groups: Iterable[d.GroupRecord]) -> list[Row]:
    """Placement groups, by their ids."""
    return [
        {
            "placement_group_id": one.id,
            "name": one.name,
            "creator_job_id": job_hex(one.job),
            "state": one.state,
            "bundles": [
                {
                    "bundle_id": {"placement_group_id": one.id, "bundle_index": index},
                    "unit_resources": dict(bundle),
                    "node_id": one.nodes[index] if index < len(one.nodes) else "",
                    "label_selector": {},
                }
                for index, bundle in enumerate(one.bundles)
            ],
            "is_detached": one.detached,
            "stats": {
                "creation_request_received_ns": "0",
                "scheduling_started_time_ns": "0",
                "scheduling_latency_us": str(round(one.delays[1] * 1e6)),
                "end_to_end_creation_latency_us": str(round(one.delays[0] * 1e6)),
                "scheduling_attempt": one.attempts,
                "highest_retry_delay_ms": 0.0,
                "scheduling_state": _PLACED.get(one.state, "QUEUED"),
            },
            "topology_strategy": {},
            "topology_assignments": {},
        }
        for one in sorted(groups, key=lambda group: group.id)
    ]  # fmt: skip


_PLACED = {"CREATED": "FINISHED", "REMOVED": "REMOVED"}


def _group(resources: Iterable[str]) -> str | None:
    """The placement group whose resources work takes; None if it is in none."""
    return next((name.rpartition("_")[2] for name in resources if "_group_" in name), None)


def _exit_type(one: d.ProcessRecord) -> str:
    if not one.intended:
        return "SYSTEM_ERROR"
    return "INTENDED_USER_EXIT" if one.driver else "INTENDED_SYSTEM_EXIT"


def _error_type(one: d.TaskRecord, calls: bool) -> str:
    if one.state == d.CANCELLED:
        return "TASK_CANCELLED"
    if one.started:
        return "TASK_EXECUTION_EXCEPTION"
    if calls:
        return "ACTOR_DIED"
    if one.worker:
        return "OUT_OF_MEMORY" if "out of memory" in one.why.lower() else "WORKER_DIED"
    if "argument" in one.why:
        return "DEPENDENCY_RESOLUTION_FAILED"
    return "TASK_UNSCHEDULABLE_ERROR"
