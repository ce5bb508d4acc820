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

from nbray.ids import client_hex, node_client, node_of
from nbray.runtime.core.effects import Fork, Kill, NodeEffect, Send
from nbray.runtime.core.node.descriptors import WORKER, Plenty, Room
from nbray.wire.messages import Exit, Worked

STORY = 12
"""How many of its last events a worker remembers."""
FORK_PAUSE = 1.0
"""Seconds without prestarted workers after several died before they registered."""
FORK_FAILURES = 3
"""How many deaths at the start make a pause."""
YOUNG = 1.0
"""Seconds in which a worker's death counts a quarter of one at its start."""
FORGIVEN = 5.0
"""Seconds without such a death after which the earlier ones no longer count."""
PARTING_SECONDS = 30.0
"""Seconds that an actor has for what it does at its end, as in Ray."""
ASK_AGAIN = 1.0
"""Seconds after which a worker that declined to make room is asked once more."""


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

    __slots__ = ("asked", "booked", "born", "client", "env", "had_gpus", "leaving", "pid", "since",
                 "state", "story", "threads", "used", "why", "worked", "worked_at")  # fmt: skip

    def __init__(self, client: int, threads: int, now: float) -> None:
        self.client = client
        self.threads = threads
        self.state = State.FORKING
        self.pid = 0
        self.born = now
        self.since = now
        """When it entered its state."""
        self.booked = False
        """It is spoken for by a lease or an actor, registered or not."""
        self.asked = 0.0
        """When it was asked to end because nobody needs it (it may decline: it owns objects)."""
        self.leaving = False
        """It was asked and has not declined: nothing may be given to it."""
        self.had_gpus = False
        """It has given GPUs back, and gets none again, should it stay for its objects."""
        self.env = b""
        """The environment that it has entered, or is booked for: it never has another."""
        self.used = False
        """It has run tasks, and may own objects that others use."""
        self.why = ""
        """Why we ended it ('' if we did not)."""
        self.worked: Worked | None = None
        """What it last said it has done."""
        self.worked_at = now
        """When it said so: what it runs has begun about then."""
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
        self.used |= event == "lease"
        self.story.append(f"{now:.3f} {event}")
        del self.story[:-STORY]


class WorkerPool:
    """All live workers of a node, by client id.

    *ready* workers are kept to serve the next lease at once; *cap* bounds all, and
    *bound* says why, for those who wait.
    """

    def __init__(
        self, ready: int, cap: int, idle_seconds: float, room: Room | None = None, bound: str = ""
    ) -> None:
        self._ready = ready
        self._cap = cap
        self._bound = bound
        self._room: Room = room or Plenty()
        self._idle_seconds = idle_seconds
        self._workers: dict[int, Worker] = {}
        self._parting: dict[int, float] = {}
        """Actors that do what they have to do at their end, and until when they may."""
        self._failures = 0.0
        self._failed = 0.0
        """When a worker last died at or soon after its start."""
        self._paused_until = 0.0
        self._waits_until = 0.0
        """For memory that is being taken back."""

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, client: object) -> bool:
        return client in self._workers

    def get(self, client: int) -> Worker | None:
        """The worker, if it lives."""
        return self._workers.get(client)

    def check(self, holders: list[int]) -> None:
        """Raise if one of *holders*, which hold resources, is dead, or another worker is busy."""
        for client in holders:
            worker = self.get(client)
            assert worker is not None, "a dead worker holds resources"
            assert worker.booked or worker.state is State.ENDING
        booked = set(holders)
        for worker in self:
            if worker.state in (State.LEASED, State.ACTOR) or worker.booked:
                assert worker.client in booked, "a worker is busy for nobody"

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    @property
    def paused_until(self) -> float:
        """No worker is forked before this moment: several died at their start, or memory lacks."""
        return max(self._paused_until, self._waits_until)

    def wait_until(self, moment: float) -> None:
        """Fork nothing before *moment*: a process that is ending has the memory (0: it has gone).

        Forked at once, who comes in its place finds no memory, and the kernel ends another for it.
        """
        self._waits_until = moment

    def why_paused(self, now: float) -> str:
        """Why no worker is forked before `paused_until`."""
        if now < self._paused_until:
            return "worker processes end as soon as they start (the node's log says why)"
        return "memory ran low: what a process had that was ended is being taken back"

    def full(self, actor: bool = False) -> bool:
        """Whether no further process may be forked (idle ones of another kind may give way).

        For an *actor*: the last place is for tasks, or they would wait for its end.
        """
        return len(self._workers) + actor >= self._cap or self._crowded(actor)

    def _crowded(self, actor: bool = False) -> bool:
        """Whether the node has no descriptors for another one (they count when it has come)."""
        left = self._room.left()
        if left >= WORKER * (len(self._workers) + 2):
            return False
        coming = sum(1 for worker in self._workers.values() if worker.state is State.FORKING)
        return left < WORKER * (coming + 1 + actor)

    def spares_one(self) -> bool:
        """Whether tasks keep a process if an actor takes an idle one, or room for another."""
        if not self.full(actor=True):
            return True
        tasks = sum(
            1
            for worker in self._workers.values()
            if worker.state is State.LEASED
            or (worker.state in (State.IDLE, State.FORKING) and not worker.booked)
        )
        return tasks > 1

    def why_full(self) -> str:
        """Why no further process may be forked, and what would help."""
        if len(self._workers) + 1 < self._cap:
            return f"the node starts no further process: {self._room.told()}"
        actors = sum(1 for worker in self._workers.values() if worker.state is State.ACTOR)
        waits = sum(1 for worker in self._workers.values() if worker.state is State.LEASED)
        return (
            f"the node has {len(self._workers):,} worker processes ({actors:,} actors, {waits:,} "
            f"in tasks that run or wait), and {self._bound or 'may have no more'}"
        )

    def fork(self, client: int, threads: int, now: float) -> tuple[Worker, list[NodeEffect]]:
        """A new worker under the id *client*."""
        worker = Worker(client, threads, now)
        self._workers[client] = worker
        return worker, [Fork(client, threads)]

    def spare(
        self, threads: int, fresh: bool, gpus: bool = False, env: bytes = b""
    ) -> Worker | None:
        """An unbooked worker with this thread setting: an idle one, else one being forked.

        *fresh*: none that has run tasks; an actor's end takes its process's objects along.
        *gpus*: none that has had some. *env*: one of this environment, or of none that has run
        nothing, and can enter it.
        """
        forking = None
        best = None
        for worker in self._workers.values():
            if worker.booked or worker.leaving or worker.threads != threads:
                continue
            if gpus and worker.had_gpus:
                continue
            if worker.env != env and (worker.env or worker.used):
                continue
            if worker.state is State.IDLE:
                if fresh and worker.used:
                    continue
                if best is None or worker.since > best.since:  # the warmest
                    best = worker
            elif worker.state is State.FORKING and forking is None:
                forking = worker
        return best or forking

    def retire(self, worker: Worker, gpus: bool, now: float) -> NodeEffect:
        """Ask one to end that is given to nobody again: a GPU that it had keeps memory of it."""
        worker.had_gpus = worker.had_gpus or gpus
        why = "it has had a GPU" if gpus else "it has run as many tasks as max_calls allows"
        return self.ask(worker, why, now)

    def ask(self, worker: Worker, why: str, now: float) -> Send:
        """Ask *worker* to end, as nobody needs it; it may decline."""
        worker.asked = now
        worker.leaving = True
        me = node_client(node_of(worker.client))
        return Send(worker.client, Exit(me, why, if_idle=True))

    def evict(self, now: float) -> Worker | None:
        """The idle worker to ask next to make room for another kind; None while one is leaving."""
        idle = self._idle()
        if any(worker.leaving for worker in self._workers.values()):
            return None
        idle = [w for w in idle if not w.asked or now >= w.asked + ASK_AGAIN]
        return min(idle, key=lambda worker: worker.since, default=None)

    def _idle(self) -> list[Worker]:
        return [
            worker
            for worker in self._workers.values()
            if worker.state is State.IDLE and not worker.booked and not worker.leaving
        ]

    def end(self, worker: Worker, why: str, now: float) -> list[NodeEffect]:
        """Kill a worker; its death is reported as intended, with *why*."""
        if worker.state is State.ENDING and not self._parting.pop(worker.client, 0.0):
            return []
        worker.move("end", now)
        worker.why = why
        return [Kill(worker.client)]

    def end_gently(self, worker: Worker, why: str, now: float) -> list[NodeEffect]:
        """Ask an actor to end after what it has to do then; it is killed if that takes too long."""
        if worker.state is State.ENDING:
            return []
        worker.move("end", now)
        worker.why = why
        self._parting[worker.client] = now + PARTING_SECONDS
        me = node_client(node_of(worker.client))
        return [Send(worker.client, Exit(me, why, gently=True))]

    def late(self, now: float) -> list[NodeEffect]:
        """Kill the actors that have not ended in the time they had."""
        gone = [client for client, until in self._parting.items() if now >= until]
        for client in gone:
            del self._parting[client]
        return [Kill(client) for client in gone]

    def died(self, client: int, now: float) -> Worker | None:
        """Take a dead worker out; None if it was none of ours."""
        worker = self._workers.pop(client, None)
        self._parting.pop(client, None)
        if worker is not None and not worker.why and now < worker.born + YOUNG:
            if now > self._failed + FORGIVEN:
                self._failures = 0.0
            self._failed = now
            self._failures += 1 if worker.state is State.FORKING else 0.25
            if self._failures >= FORK_FAILURES:
                self._paused_until = now + FORK_PAUSE
                self._failures = 0.0
        return worker

    def registered(self, client: int, pid: int, now: float) -> Worker | None:
        """A forked worker presents itself; None if it is none of ours."""
        worker = self._workers.get(client)
        if worker is not None:
            worker.pid = pid
            self._room.take(WORKER)  # until it is counted with the others
            worker.move("registered", now)
        return worker

    def missing(self, now: float) -> int:
        """How many workers to fork so that enough are ready."""
        if now < self.paused_until:
            return 0
        if self._crowded():
            return 0
        live = sum(1 for w in self._workers.values() if w.state is not State.ENDING)
        return max(0, self._ready - live)

    def overdue(self, now: float) -> list[Worker]:
        """Workers that have been idle too long, beyond those kept ready."""
        return [w for w in self._surplus() if now >= max(w.since, w.asked) + self._idle_seconds]

    def _surplus(self) -> list[Worker]:
        """Idle workers beyond those kept ready, those that have waited longest."""
        if len(self._workers) <= self._ready:
            return []
        idle = self._idle()
        if len(idle) <= self._ready:
            return []
        idle.sort(key=lambda worker: worker.since)
        return idle[: len(idle) - self._ready]

    def next_deadline(self, now: float) -> float | None:
        """When `overdue` or `missing` may next return something."""
        due = self.paused_until if self.paused_until > now else None
        for until in self._parting.values():
            due = until if due is None else min(due, until)
        for worker in self._surplus():
            first = max(worker.since, worker.asked) + self._idle_seconds
            due = first if due is None else min(due, first)
        if self.full():
            for worker in self._idle():
                again = worker.asked + ASK_AGAIN
                if worker.asked and again > now:
                    due = again if due is None else min(due, again)
        return due
