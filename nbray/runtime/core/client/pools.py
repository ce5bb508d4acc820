"""The workers that a client has: pools of tasks of one shape, and the leases that serve them.

Owns the pools, which lease belongs to which, and what the node is told of both. Does not
own tasks or what runs on a lease (`tasks`). Rule: the node hears a count of workers wanted
(`Demand`) only when it changes by a power of two, and of every lease that goes back.
"""

from __future__ import annotations

import itertools
from typing import Any

from nbray.config import LEASE_LINGER
from nbray.ids import node_client
from nbray.runtime.core.client.locality import wanted
from nbray.runtime.core.client.task_records import LeasedWorker, ShapePool, Task, at_work, returned
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.where import Where
from nbray.wire.messages import Demand, Granted, Reclaim, Shape, Unblocked, Waiting


class Pools:
    """Those of client *me* on node *node*."""

    def __init__(self, me: int, node: int) -> None:
        self.me = me
        self._node_client = node_client(node)
        self.active: dict[int, ShapePool] = {}
        """Pools with queued tasks or leases."""
        self._calls: dict[int, dict[bytes, int]] = {}
        """How many tasks of functions with `max_calls` each worker has run."""
        self.by_worker: dict[int, LeasedWorker] = {}
        self.by_lease: dict[int, ShapePool] = {}
        self._by_number: dict[int, ShapePool] = {}
        self._by_shape: dict[tuple[Any, ...], ShapePool] = {}
        self._numbers = itertools.count(1)

    def pool(
        self, resources: Shape, depth: int, node: int, where: Where | None = None,
        raises: bool = True, group: str = "", env: bytes = b"", once: bool = False,
    ) -> ShapePool:  # fmt: skip
        """The pool for this shape (see `ShapePool`); *env*: the key of its environment.

        *once*: for tasks that must not run twice. Their workers are theirs alone, so that a node
        whose memory is short knows what it may end.
        """
        key: tuple[Any, ...] = (depth, node, raises, where, *sorted(resources.items()))
        if env:
            key = (*key, env)
        if once:
            key = (*key, True)
        pool = self._by_shape.get(key)
        if pool is None:
            pool = ShapePool(next(self._numbers), resources, depth, node, where, raises, group, env)
            pool.once = once
            self._by_shape[key] = pool
            self._by_number[pool.id] = pool
        return pool

    def numbered(self, number: int) -> ShapePool | None:
        """The pool that the node knows by this number."""
        return self._by_number.get(number)

    def enqueue(self, task: Task) -> None:
        """Put a task at the end of its queue."""
        pool = task.work.pool
        assert pool is not None
        pool.queue.append(task)
        self.active[pool.id] = pool

    def put_back(self, pool: ShapePool, tasks: list[Task]) -> None:
        """Put tasks at the head of their queue, in this order."""
        pool.queue.extendleft(reversed(tasks))
        if pool.queue:
            self.active[pool.id] = pool

    # -- what the node is told -----------------------------------------------------------

    def ask(self, pool: ShapePool, effects: list[ClientEffect]) -> None:
        """Ask for as many workers as the pool could use, if that has changed."""
        held = len(pool.leases)
        if pool.queue:
            total = len(pool.queue) + sum(len(lease.inflight) for lease in pool.leases.values())
            # Idle leases go back by themselves: asking for fewer would only be chatter.
            want = max(held, min(1024, 1 << (total - 1).bit_length()))
            if want < pool.sent and pool.sent > held:
                want = pool.sent if want * 2 >= pool.sent else want
        else:
            want = held
        if want != pool.sent:
            pool.sent = want
            effects.append(Send(self._node_client, self._demand(pool, want)))

    def forget(self, pool: ShapePool) -> ClientEffect:
        """The node forgets what was asked for, and judges the next demand afresh."""
        pool.sent = 0
        return Send(self._node_client, self._demand(pool, 0))

    def _demand(self, pool: ShapePool, want: int) -> Demand:
        return Demand(
            self.me, pool.id, pool.resources, want, pool.depth, pool.node, where=pool.where,
            env=pool.env, once=pool.once,
            near=wanted(pool.queue) if pool.where is None and not pool.group else {},
        )  # fmt: skip

    def of_group(self, group: str) -> list[ShapePool]:
        """The pools for work in a placement group."""
        return [pool for pool in list(self._by_shape.values()) if pool.group == group]

    def drop(self, pool: ShapePool) -> None:
        """Nobody asks for this shape again: its placement group has ended."""
        self._by_number.pop(pool.id, None)
        for key in [key for key, one in list(self._by_shape.items()) if one is pool]:
            del self._by_shape[key]

    def waiting(self, message: Waiting) -> None:
        """Why this shape's work waits."""
        pool = self._by_number.get(message.shape)
        if pool is not None:
            pool.waiting = message.why

    # -- leases ----------------------------------------------------------------------------

    def granted(self, message: Granted, now: float) -> list[ClientEffect]:
        """A worker for a shape; given back at once if there is nothing for it to do."""
        pool = self._by_number.get(message.shape)
        if pool is None or not pool.queue:
            return returned(self.me, message.lease, message.worker)
        lease = LeasedWorker(message.lease, message.worker, message.gpus, now)
        pool.leases[lease.id] = lease
        pool.waiting = ""
        self.by_lease[lease.id] = pool
        self.by_worker[lease.worker] = lease
        return []

    def give_back(self, pool: ShapePool, lease: LeasedWorker, effects: list[ClientEffect]) -> None:
        """A lease ends: its worker goes back to its node, unless it is dead."""
        del pool.leases[lease.id]
        self.by_lease.pop(lease.id, None)
        if self.by_worker.get(lease.worker) is lease:
            del self.by_worker[lease.worker]
        if lease.dead:
            self._calls.pop(lease.worker, None)
        if lease.parked:  # its CPU is used here: the node takes one for the other
            lease.parked = False
            effects.append(Send(self._node_client, Unblocked(self.me)))
        if not lease.dead:
            effects += returned(self.me, lease.id, lease.worker, lease.spent)

    def reclaim(self, message: Reclaim) -> list[ClientEffect]:
        """The node wants a worker back as soon as its tasks have ended."""
        effects: list[ClientEffect] = []
        pool = self.by_lease.get(message.lease)
        if pool is not None:
            lease = pool.leases[message.lease]
            lease.reclaimed = True
            if not lease.inflight:
                self.rested(lease, effects)
        return effects

    def answered(self, lease: LeasedWorker, now: float, effects: list[ClientEffect]) -> None:
        """The worker of a lease has answered: it goes on, rests, or goes back."""
        lease.began = now
        lease.stalled = False
        if not lease.inflight:
            lease.idle_since = now
            self.rested(lease, effects)

    def count_call(self, lease: LeasedWorker, function: bytes, most: int) -> None:
        """A task of a function with `max_calls` has ended: its worker goes back after the last."""
        counts = self._calls.setdefault(lease.worker, {})
        counts[function] = counts.get(function, 0) + 1
        if counts[function] >= most:
            self._calls.pop(lease.worker)
            lease.spent = lease.reclaimed = True

    def rested(self, lease: LeasedWorker, effects: list[ClientEffect]) -> None:
        """Nothing is at the worker of a lease any more: it goes back if it is wanted back."""
        pool = self.by_lease.get(lease.id)
        if lease.reclaimed and pool is not None:
            self.give_back(pool, lease, effects)

    # -- time --------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When a lease has been idle for long enough.

        The loop's thread asks while another has the baton: it looks at copies.
        """
        if not self.active:
            return None
        deadlines = [
            lease.idle_since + LEASE_LINGER
            for pool in list(self.active.values())
            if not pool.queue
            for lease in list(pool.leases.values())
            if not lease.inflight and not lease.dead
        ]
        return min(deadlines, default=None)

    def tick(self, now: float, effects: list[ClientEffect]) -> None:
        """Give idle leases back."""
        for pool in self.active.values():
            if pool.queue:
                continue
            for lease in list(pool.leases.values()):
                if not lease.inflight and not lease.dead and lease.idle_since + LEASE_LINGER <= now:
                    self.give_back(pool, lease, effects)

    # -- views -------------------------------------------------------------------------------

    def leases(self) -> list[tuple[LeasedWorker, Shape]]:
        """The leases there are, with what each holds."""
        return [(lease, pool.resources) for pool in self.active.values()
                for lease in pool.leases.values()]  # fmt: skip

    def oldest(self, now: float) -> dict[str, float]:
        """For how long the longest running task of each cell has run. Any thread."""
        found: dict[str, float] = {}
        for cell, lease in at_work(self.by_worker):
            found[cell] = max(found.get(cell, 0.0), now - lease.began)
        return found

    def running(self) -> dict[str, dict[int, int]]:
        """Busy workers by cell and node. Any thread: it looks at copies."""
        counts: dict[str, dict[int, int]] = {}
        for name, lease in at_work(self.by_worker):
            cell = counts.setdefault(name, {})
            cell[lease.node] = cell.get(lease.node, 0) + 1
        return counts
