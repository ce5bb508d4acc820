"""Cancelling: a client's tasks and calls, and what they have launched in turn.

Owns the order of the steps: what is nowhere yet fails at once, what is at a worker is
interrupted there, and with *force* its worker is killed a moment later (an actor's only if it
is expendable). Does not own what a worker interrupts (`worker.brain`). Rule: whoever submitted
a task cancels it; with *recursive* each worker cancels what the cancelled task submitted there.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from nbray.ids import node_client, node_of
from nbray.runtime.core.client.actor_links import ActorLink
from nbray.runtime.core.client.objects.objects import Objects
from nbray.runtime.core.client.streams import StreamTask
from nbray.runtime.core.client.task_records import Task
from nbray.runtime.core.client.tasks import Submitter
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Cancel, CancelOwned, KillWorker, Ref

FORCE_SECONDS = 0.05
"""A worker has so long to pass a cancellation on before it is killed with force."""


class Cancelling:
    """What one client has cancelled."""

    def __init__(self, objects: Objects, submitter: Submitter) -> None:
        self._objects = objects
        self._submitter = submitter
        self._me = objects.me
        self.kills: deque[tuple[float, int, int]] = deque()
        """(when, worker, task) of workers that are to be killed."""

    def cancel(
        self, tasks: Iterable[Task], force: bool, recursive: bool, now: float,
        interrupts: bool = True,
    ) -> list[ClientEffect]:  # fmt: skip
        """Cancel tasks and calls of this client, wherever they are.

        Without *interrupts* calls that run in an actor's main thread are told, and run on.
        """
        effects: list[ClientEffect] = []
        at: defaultdict[int, list[int]] = defaultdict(list)
        for task in tasks:
            if isinstance(task, StreamTask):
                self._submitter.streams.cut(task.stream)
            if task.lease is None:
                effects += self._submitter.withdraw(task)
                continue
            task.cancelled = True
            at[task.lease.worker].append(task.seq)
            if force and (task.work.expendable or not isinstance(task.lease, ActorLink)):
                self._force(task, recursive, now, effects)
        told: list[ClientEffect] = [
            Send(worker, Cancel(self._me, seqs, force, recursive, interrupts=interrupts))
            for worker, seqs in at.items()
        ]
        return told + effects

    def _force(self, task: Task, recursive: bool, now: float, effects: list[ClientEffect]) -> None:
        worker = task.lease.worker
        if next(iter(task.lease.inflight), None) != task.seq:
            return  # it has not begun there
        if recursive:
            self.kills.append((now + FORCE_SECONDS, worker, task.seq))
        else:
            effects.append(self._kill(worker))

    def _kill(self, worker: int) -> ClientEffect:
        home = node_client(node_of(worker))
        return Send(home, KillWorker(self._me, worker, "cancelled with force"))

    def cancel_owned(self, message: CancelOwned, now: float) -> list[ClientEffect]:
        """A client that holds references to objects of ours cancels the tasks that make them."""
        tasks = [task for seq in message.seqs if (task := self.making((self._me, seq))) is not None]
        return self.cancel(
            tasks, message.force, message.recursive, now, message.interrupts
        )

    def making(self, key: Ref) -> Task | None:
        """The unfinished task of ours that makes an object."""
        task = self._objects.making(key[1]) if key[0] == self._me else None
        return task if isinstance(task, Task) else None

    def next_deadline(self) -> float | None:
        """When `tick` has something to do. Any thread: it looks at a copy."""
        if not self.kills:
            return None
        return next((due for due, _, _ in self.kills.copy()), None)

    def tick(self, now: float) -> list[ClientEffect]:
        """Kill the workers whose time is up, unless their tasks have ended."""
        effects: list[ClientEffect] = []
        while self.kills and self.kills[0][0] <= now:
            _, worker, seq = self.kills.popleft()
            task = self.making((self._me, seq))
            if task is not None and task.lease is not None and task.lease.worker == worker:
                effects.append(self._kill(worker))
        return effects
