"""The worker processes of one node: the life of each as a table, and which to take next.

Owns states and numbers of workers. Does not own resources (`leases`) or
processes (root). Rule: what is not in the table raises with the worker's story.

::

    FORKING --registered--> IDLE --lease--> LEASED --returned--> IDLE
                             |--become--> ACTOR
    any of these --end--> ENDING; every state ends by `died`, which removes it

A worker is forked for something (a lease, an actor) or to be ready (nothing);
`booked` says so while it is FORKING.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from nbray.ids import client_hex
from nbray.runtime.core.effects import Effect, Fork, Kill
from nbray.wire.messages import Worked

STORY = 12
"""How many of its last events a worker remembers."""
FORK_PAUSE = 1.0
"""Seconds without prestarted workers after several died before they registered."""
FORK_FAILURES = 3


class State(enum.Enum):
    """Where a worker is in its life."""

    FORKING = "forking"
    IDLE = "idle"
    LEASED = "leased"
    ACTOR = "actor"
    ENDING = "ending"


_TABLE: dict[tuple[State, str], State] = {
    (State.FORKING, "registered"): State.IDLE,
    (State.IDLE, "lease"): State.LEASED,
    (State.IDLE, "become"): State.ACTOR,
    (State.LEASED, "returned"): State.IDLE,
    **{(state, "end"): State.ENDING for state in State},
    # It said hello while its end was already on the way.
    (State.ENDING, "registered"): State.ENDING,
    (State.ENDING, "returned"): State.ENDING,
}


class WrongMove(AssertionError):
    """A worker was asked for a step its state does not allow; carries its story."""


class Worker:
    """One worker process."""

    __slots__ = ("asked", "booked", "client", "pid", "since", "state", "story", "threads", "why",
                 "worked")  # fmt: skip

    def __init__(self, client: int, threads: int, now: float) -> None:
        self.client = client
        self.threads = threads
        self.state = State.FORKING
        self.pid = 0
        self.since = now
        """When it entered its state."""
        self.booked = False
        """It is spoken for by a lease or an actor, registered or not."""
        self.asked = 0.0
        """When it was asked to end because nobody needs it (it may decline: it owns objects)."""
        self.why = ""
        """Why we ended it ('' if we did not)."""
        self.worked: Worked | None = None
        """What it last said it has done."""
        self.story: list[str] = [f"{now:.3f} forked"]

    def move(self, event: str, now: float) -> None:
        """Take one step of the table.

        Raises:
            WrongMove: the table has no such step.
        """
        after = _TABLE.get((self.state, event))
        if after is None:
            raise WrongMove(
                f"worker {client_hex(self.client)} is {self.state.value}, cannot {event!r}: "
                + "; ".join(self.story)
            )
        self.state = after
        self.since = now
        self.story.append(f"{now:.3f} {event}")
        del self.story[:-STORY]


class Pool:
    """All live workers of a node, by client id.

    *ready* workers are kept to serve the next lease at once; *cap* bounds all.
    """

    def __init__(self, ready: int, cap: int, idle_seconds: float) -> None:
        self._ready = ready
        self._cap = cap
        self._idle_seconds = idle_seconds
        self._workers: dict[int, Worker] = {}
        self._failures = 0
        self._paused_until = 0.0

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, client: object) -> bool:
        return client in self._workers

    def get(self, client: int) -> Worker | None:
        """The worker, if it lives."""
        return self._workers.get(client)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    @property
    def paused_until(self) -> float:
        """No worker is forked before this moment: several died at their start."""
        return self._paused_until

    def full(self) -> bool:
        """Whether no further process may be forked (idle ones of another kind may give way)."""
        return len(self._workers) >= self._cap

    def fork(self, client: int, threads: int, now: float) -> tuple[Worker, list[Effect]]:
        """A new worker under the id *client*."""
        worker = Worker(client, threads, now)
        self._workers[client] = worker
        return worker, [Fork(client, threads)]

    def spare(self, threads: int) -> Worker | None:
        """An unbooked worker with this thread setting: an idle one, else one being forked."""
        forking = None
        best = None
        for worker in self._workers.values():
            if worker.booked or worker.threads != threads:
                continue
            if worker.state is State.IDLE:
                if best is None or worker.since > best.since:  # the warmest
                    best = worker
            elif worker.state is State.FORKING and forking is None:
                forking = worker
        return best or forking

    def evict(self) -> Worker | None:
        """The unbooked idle worker that has waited longest, to make room for another kind."""
        idle = [w for w in self._workers.values() if w.state is State.IDLE and not w.booked]
        return min(idle, key=lambda worker: worker.since, default=None)

    def end(self, worker: Worker, why: str, now: float) -> list[Effect]:
        """Kill a worker; its death is reported as intended, with *why*."""
        if worker.state is State.ENDING:
            return []
        worker.move("end", now)
        worker.why = why
        return [Kill(worker.client)]

    def died(self, client: int, now: float) -> Worker | None:
        """Take a dead worker out; None if it was none of ours."""
        worker = self._workers.pop(client, None)
        if worker is not None and worker.state is State.FORKING:
            self._failures += 1
            if self._failures >= FORK_FAILURES:
                self._paused_until = now + FORK_PAUSE
                self._failures = 0
        return worker

    def registered(self, client: int, pid: int, now: float) -> Worker | None:
        """A forked worker presents itself; None if it is none of ours."""
        worker = self._workers.get(client)
        if worker is not None:
            worker.pid = pid
            worker.move("registered", now)
            self._failures = 0
        return worker

    def missing(self, now: float) -> int:
        """How many workers to fork so that enough are ready."""
        if now < self._paused_until:
            return 0
        live = sum(1 for w in self._workers.values() if w.state is not State.ENDING)
        return max(0, self._ready - live)

    def overdue(self, now: float) -> list[Worker]:
        """Workers that have been idle too long, beyond those kept ready."""
        return [w for w in self._surplus() if now >= max(w.since, w.asked) + self._idle_seconds]

    def _surplus(self) -> list[Worker]:
        """Idle workers beyond those kept ready, those that have waited longest."""
        idle = [w for w in self._workers.values() if w.state is State.IDLE and not w.booked]
        if len(idle) <= self._ready:
            return []
        idle.sort(key=lambda worker: worker.since)
        return idle[: len(idle) - self._ready]

    def next_deadline(self, now: float) -> float | None:
        """When `overdue` or `missing` may next return something."""
        due = self._paused_until if self._paused_until > now else None
        for worker in self._surplus():
            first = max(worker.since, worker.asked) + self._idle_seconds
            due = first if due is None else min(due, first)
        return due
