"""A worker whose task waits: it offers its CPUs, lends them if asked, and takes them again.

Owns what one worker process has offered and lent. Does not own its queue (`brain`) or
who gets the CPUs (`node.scheduling.lending`). Rules: a task that had lent its CPUs goes on
when the node says so (`Resume`), or at once with those of a child that has ended, whose
lease is set aside for so long (`LeasedWorker.parked`); after `RESUME_SECONDS` it goes on without,
because what runs may be waiting for it. A thread that the task has started offers its
CPUs only while the whole process stands still.
"""

from __future__ import annotations

from collections.abc import Callable

from nbray.ids import node_client
from nbray.runtime.core.client.task_records import LeasedWorker
from nbray.runtime.core.client.tasks import Submitter
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Blocked, Lent, Unblocked

STILL = 0.05
"""Seconds in which a process must have stood still."""
ASLEEP = 0.2
"""The part of that time for which it may have used a CPU nevertheless."""


class Pauses:
    """The waiting of one worker's task. *cpus* says how many ten-thousandths it runs on."""

    def __init__(self, tasks: Submitter, cpus: Callable[[], int]) -> None:
        self._tasks = tasks
        self._me = tasks.me
        self._node = node_client(tasks.node)
        self._cpus = cpus
        self.item: object = None
        """The task (or call) whose threads wait."""
        self.threads = 0
        """How many of them wait."""
        self.awaits = False
        """A thread could go on, and waits for the CPUs."""
        self._offered = False
        self._lent = False
        self._parked: LeasedWorker | None = None
        self._looked = (0.0, 0.0)
        """When, and after how many seconds of CPU, the process was last looked at."""
        self.wakers: list[Callable[[], None]] = []
        """Called when `awaits` ends."""
        self.overdrawn = 0
        """How often it went on without its CPUs."""

    @property
    def stands(self) -> bool:
        """Whether the task does not run."""
        return self._offered or self.awaits

    def block(self, item: object, main: bool) -> list[ClientEffect]:
        """A thread of *item* is about to wait: *main*, the one in which it runs, or another."""
        if item is not self.item:  # threads that an earlier one left behind do not count
            self.item, self.threads = item, 0
        self.threads += 1
        self._looked = (0.0, 0.0)
        return self._offer() if main else []

    def _offer(self) -> list[ClientEffect]:
        if self._offered or self.awaits:
            return []
        self._offered = True
        parked, self._parked = self._parked, None
        if parked is not None:
            # If it is gone, with its CPUs, ours are our own again.
            self._lent, parked.parked = parked.parked, False
        if self._lent or not self._cpus():
            return []
        return [Send(self._node, Blocked(self._me))]

    def unblock(self, item: object) -> list[ClientEffect]:
        """A thread has what it waited for; if it `awaits` then, it must wait on."""
        if item is not self.item:
            return []
        self.threads -= 1
        if not self._offered:
            return []
        self._offered = False
        if not self._lent:
            return [Send(self._node, Unblocked(self._me))] if self._cpus() else []
        self._parked = self._idle_lease()
        if self._parked is not None:
            self._parked.parked = True
            return []
        self.awaits = True
        return [Send(self._node, Unblocked(self._me, waits=True))]

    def _idle_lease(self) -> LeasedWorker | None:
        cpus, home = self._cpus(), self._tasks.node
        for lease, resources in self._tasks.pools.leases():
            idle = not (lease.inflight or lease.dead or lease.reclaimed)
            if idle and lease.node == home and resources.get("CPU", 0) >= cpus:
                return lease
        return None

    def asked(self) -> list[ClientEffect]:
        """The node asks for the CPUs (`Lend`)."""
        if not self._offered or self._lent:
            return []
        self._lent = True
        return [Send(self._node, Lent(self._me))]

    def resume(self) -> list[ClientEffect]:
        """The CPUs are the task's again (`Resume`)."""
        lent, self._lent = self._lent, False
        if self._parked is not None:
            self._parked.parked = False
            self._parked = None
        self._wake()
        return [Send(self._node, Blocked(self._me))] if lent and self._offered else []

    def go_on(self) -> list[ClientEffect]:
        """The task goes on whatever else runs: it has waited for long enough."""
        if not self.awaits:
            return []
        self.overdrawn += 1
        self._lent = False
        self._wake()
        return [Send(self._node, Unblocked(self._me))]

    def _wake(self) -> None:
        self.awaits = False
        wakers, self.wakers = self.wakers, []
        for wake in wakers:
            wake()

    def look(self, now: float, cpu: float) -> list[ClientEffect]:
        """Now and then while a thread waits: if the whole process stands still, offer."""
        if self._offered or self.awaits or not self.threads:
            return []
        at, used = self._looked
        if at and now < at + STILL:
            return []
        self._looked = (now, cpu)
        if not at or cpu - used > ASLEEP * (now - at):
            return []
        return self._offer()
