"""What Ray's head tells of a job's tasks and actors, as plain records.

Owns the asking: the head's own service, whose messages have no public names (`private` has the
other private names). Ray's state API would need the dashboard, which a cluster may lack. Rules: one
asking is answered within `PATIENCE` or not at all; a release that lacks a name tells nothing.
Measured (2.60, a busy machine): 1 to 15 ms for tens of tasks; a process tells the head once a
second what its tasks do, of actors the head knows at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import msgspec

PATIENCE = 5.0
"""Seconds for which the head may take to answer."""
MOST = 10_000
"""Tasks of which one answer tells: the latest."""
WAITS, RUNS, DONE, FAILED = range(4)
"""What a task does."""
_NORMAL, _CREATION, _CALL = range(3)
_RUNNING = {8, 9, 10}
_FINISHED, _FAILED = 11, 12
_ALIVE, _DEAD = 2, 4
_MEANT = ("references to the actor", "out of scope", "intended", "ray.kill")
"""Of which one stands in what Ray says of an actor whose end somebody wanted."""


class TaskSeen(msgspec.Struct, frozen=True):
    """One attempt of a task, or of an actor's call."""

    task: bytes
    attempt: int
    name: str
    function: str
    parent: bytes
    """The task that submitted it."""
    actor: bytes
    """Whose call it is (b'': a task)."""
    does: int
    created: float
    """Unix seconds."""
    began: float
    """The same (0: it does not run yet)."""
    ended: float
    node: str
    pid: int
    cancelled: bool = False


class ActorSeen(msgspec.Struct, frozen=True):
    """One actor."""

    actor: bytes
    class_name: str
    module: str
    name: str
    alive: bool
    """Its process runs."""
    dead: bool
    """For good."""
    node: str
    pid: int
    failed: bool
    """It did not end of itself, nor as nobody held it."""


class Registry:
    """Asks the head at *address* about the job of this driver."""

    def __init__(self, address: str, job: str) -> None:
        from ray._private.grpc_utils import init_grpc_channel
        from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

        self._messages = gcs_service_pb2
        self._channel = init_grpc_channel(address)
        self._of_tasks = gcs_service_pb2_grpc.TaskInfoGcsServiceStub(self._channel)
        self._of_actors = gcs_service_pb2_grpc.ActorInfoGcsServiceStub(self._channel)
        self._job = bytes.fromhex(job)

    def tasks(self) -> list[TaskSeen]:
        """The job's tasks and actors' calls."""
        request = self._messages.GetTaskEventsRequest
        only = request.Filters(exclude_driver=True)
        only.job_filters.append(request.Filters.JobIdFilter(job_id=self._job, predicate=0))
        found = self._of_tasks.GetTaskEvents(request(limit=MOST, filters=only), timeout=PATIENCE)
        return [seen for one in found.events_by_task if (seen := _task(one)) is not None]

    def actors(self, others: Iterable[bytes] = ()) -> list[ActorSeen]:
        """The job's actors, ended ones too, and *others*."""
        request = self._messages.GetAllActorInfoRequest
        only = [request.Filters(job_id=self._job)]
        only += [request.Filters(actor_id=one) for one in others]
        return [
            _actor(one) for which in only for one in self._of_actors.GetAllActorInfo(
                request(limit=MOST, filters=which), timeout=PATIENCE
            ).actor_table_data
        ]  # fmt: skip

    def kill(self, actors: Iterable[bytes]) -> None:
        """End these actors' processes; does not wait for that."""
        request = self._messages.KillActorViaGcsRequest
        calls = [
            self._of_actors.KillActorViaGcs.future(
                request(actor_id=one, force_kill=True, no_restart=True), timeout=PATIENCE
            )
            for one in actors
        ]
        for call in calls:
            with contextlib.suppress(Exception):  # it has ended, or the head has
                call.result()

    def close(self) -> None:
        """Ask no more."""
        self._channel.close()


def registry(address: str, job: str) -> Registry | None:
    """Who asks; None: this release of Ray has other names."""
    try:
        return Registry(address, job)
    except (ImportError, AttributeError):
        return None


def _task(one: Any) -> TaskSeen | None:
    info, state = one.task_info, one.state_updates
    if info.type not in {_NORMAL, _CALL}:
        return None
    times = {int(key): value / 1e9 for key, value in state.state_ts_ns.items()}
    does = (
        DONE if _FINISHED in times
        else FAILED if _FAILED in times
        else RUNS if _RUNNING & times.keys()
        else WAITS
    )  # fmt: skip
    why = str(state.error_info.error_message) if state.HasField("error_info") else ""
    return TaskSeen(
        task=one.task_id, attempt=one.attempt_number, name=info.name,
        function=info.func_or_class_name, parent=info.parent_task_id,
        actor=info.actor_id if info.type == _CALL else b"", does=does,
        created=min(times.values(), default=0.0),
        began=min((at for key, at in times.items() if key in _RUNNING), default=0.0),
        ended=times.get(_FINISHED) or times.get(_FAILED) or 0.0,
        node=state.node_id.hex(), pid=state.worker_pid,
        cancelled=does == FAILED and "cancel" in why.lower(),
    )  # fmt: skip


def _actor(one: Any) -> ActorSeen:
    made = one.function_descriptor.python_function_descriptor
    cause = one.death_cause
    ended = str(getattr(cause.actor_died_error_context, "error_message", "")).lower()
    by_itself = any(word in ended for word in _MEANT)
    return ActorSeen(
        actor=one.actor_id, class_name=one.class_name, module=made.module_name, name=one.name,
        alive=one.state == _ALIVE, dead=one.state == _DEAD, node=one.address.node_id.hex(),
        pid=one.pid, failed=one.state == _DEAD and not by_itself,
    )  # fmt: skip
