"""What a worker says of itself beside what every client says: what it runs and ran.

Owns the reading of a worker's tables into records. Does not own the tables. An answer
costs what it lists (`client.describing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from nbray import details as d
from nbray.ids import node_client
from nbray.runtime.core.client import describing
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.placement import units
from nbray.wire.messages import Describe, Remember, Spec

if TYPE_CHECKING:
    from nbray.runtime.core.worker.brain import WorkerBrain

Past = tuple[Spec, int, int, float, int, "str | None"]
"""(spec, caller, seq, start on the performance counter, microseconds, error or None)."""


def describe_worker(brain: WorkerBrain, message: Describe, now: float) -> list[ClientEffect]:
    """Answer as a worker: what it runs and ran, beside what it owns."""
    answer = describing.client(brain.client, message, now)
    if message.wanted & d.TASKS:
        current = brain.current
        running = []
        if current is not None:
            spec = current.spec
            running = [
                d.TaskRecord(
                    current.caller, current.seq, _name(brain, spec), spec.cell, spec.job,
                    d.RUNNING, brain.me, brain.started,
                    attempt=current.extra.attempt if current.extra is not None else 0,
                    **_more(brain, spec),
                )
            ]  # fmt: skip
        # Noted before the answer is: a count that lags only tells one of them twice.
        count = brain.finished + len(brain.done)
        past = list(brain.past)
        fresh = min(len(past), max(0, count - message.tasks_seen.get(brain.me, 0)))
        ended = [_ended(brain, one) for one in past[len(past) - fresh :]]
        answer = msgspec.structs.replace(
            answer, tasks=running + answer.tasks, busy=brain.concurrent, ended=ended,
            ended_count=count,
        )  # fmt: skip
    return [Send(message.sender, answer)]


def untold(brain: WorkerBrain) -> list[ClientEffect]:
    """What has ended since this worker last told its node, for the time when it is gone."""
    count = brain.finished + len(brain.done)
    past = list(brain.past)
    fresh = min(len(past), count - brain.told)
    brain.told = count
    if fresh <= 0:
        return []
    ended = [_ended(brain, one) for one in past[len(past) - fresh :]]
    return [Send(node_client(brain.client.node), Remember(brain.me, ended))]


def _name(brain: WorkerBrain, spec: Spec) -> str:
    actor = brain.actor
    if actor is None or spec.function or spec.method:  # as its caller says
        return spec.name
    return f"{actor.spec.class_name}.{spec.name}"


def _more(brain: WorkerBrain, spec: Spec) -> dict[str, Any]:
    """What a record says of what is run beside its name."""
    actor = brain.actor
    if actor is None or spec.function:
        return {
            "defined": spec.defined, "resources": units(spec.resources), "listed": spec.listed,
        }  # fmt: skip
    return {
        "listed": spec.listed,
        "defined": describing.defined(spec, actor.spec.class_name),
        "actor": (actor.spec.owner, actor.spec.actor),
    }


def _ended(brain: WorkerBrain, one: Past) -> d.TaskRecord:
    spec, caller, seq, started, micros, error = one
    state = d.DONE if error is None else d.FAILED if error else d.CANCELLED
    return d.TaskRecord(
        owner=caller, seq=seq, name=_name(brain, spec), cell=spec.cell, job=spec.job, state=state,
        worker=brain.me, started=started, ended=started + micros / 1e6, why=error or "",
        **_more(brain, spec),
    )  # fmt: skip
