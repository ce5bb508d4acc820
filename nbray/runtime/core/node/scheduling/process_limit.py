"""A node that may start no further process while work waits for one: who is told, and what.

Owns since when that is so, and who has heard of it. Does not own the bound (`workers.WorkerPool`)
nor what a cell's bars say of its own work (`Waiting`, `ActorWaits`). Rule: each driver of the
machine is told after a moment, for a process may end by itself, and then not for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.scheduler import Hunger
from nbray.runtime.core.node.scheduling.workers import WorkerPool
from nbray.wire.messages import Printed

PATIENCE = 1.0
"""Seconds that work waits for a process before it is told."""
AGAIN = 60.0
"""Seconds for which who was told hears no more of it."""
WHO = "nbray"
"""In the place of a task's name."""


class ProcessLimit:
    """One node's. *me* and *pid* are the node's, *name* is its machine's."""

    def __init__(
        self, me: int, pid: int, name: str, pool: WorkerPool, drivers: Callable[[], list[int]]
    ) -> None:
        self._pool = pool
        self._drivers = drivers
        self._me = me
        self._pid = pid
        self._name = name
        self._since: float | None = None
        self._told: dict[int, float] = {}
        self.due: float | None = None
        """When `look` may have something to say."""

    def look(self, actors: str, starved: Iterable[Hunger], now: float) -> list[NodeEffect]:
        """Why *actors* wait for a process ('': none does), and who could not be served."""
        self.due = None
        stuck = (hunger.want.stuck for hunger in starved if hunger.want and hunger.want.stuck)
        why = actors or next(stuck, "")
        if not why or not self._pool.full(actor=True):
            self._since = None
            return []
        if self._since is None:
            self._since = now
        if now < self._since + PATIENCE:
            self.due = self._since + PATIENCE
            return []
        out: list[NodeEffect] = []
        told: dict[int, float] = {}
        for driver in self._drivers():
            last = told[driver] = self._told.get(driver, float("-inf"))
            if now >= last + AGAIN:
                told[driver] = now
                text = f"{self._name}: work waits for a process: {why}\n"
                out.append(Send(driver, Printed(self._me, "", self._pid, WHO, "stderr", text)))
        self._told = told
        return out
