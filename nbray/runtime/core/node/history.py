"""What workers ran that are gone, and the node's answer to who asks what goes on.

Owns what workers have told of ended tasks while they rested, and the short memory of those
that have ended since. Does not own what a live one says of itself (`worker.describing`), nor what a
watcher remembers (`client.survey`). Rule: bounded, the oldest go first; nothing is told per task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

import msgspec

from nbray.config import TASKS_REMEMBERED
from nbray.details import OBJECTS, TASKS, ProcessRecord, TaskRecord
from nbray.runtime.core.effects import NodeEffect, Send
from nbray.wire.messages import Describe, Described

RETIRED = 10_000
"""Ended tasks of workers that are gone, which a node remembers."""
GONE = 1_000
"""Processes that are gone, of which number and cause are remembered."""


class History:
    """One node's. *me* is its client id."""

    def __init__(self, me: int) -> None:
        self._me = me
        self._told: dict[int, deque[TaskRecord]] = {}
        """By live worker."""
        self._retired: deque[TaskRecord] = deque(maxlen=RETIRED)
        self._count = 0
        self._gone: deque[ProcessRecord] = deque(maxlen=GONE)

    def told(self, worker: int, ended: Iterable[TaskRecord]) -> None:
        """A worker that rests tells what it has run since it last did."""
        self._told.setdefault(worker, deque(maxlen=TASKS_REMEMBERED)).extend(ended)

    def gone(self, process: ProcessRecord) -> None:
        """A process has ended."""
        ended = self._told.pop(process.client, None)
        if ended:
            self._retired.extend(ended)
            self._count += len(ended)
        self._gone.append(process)

    def left(self, driver: ProcessRecord, why: str, now: float) -> None:
        """A driver has ended in order, or by itself; one that only looked leaves no trace."""
        if driver.program:
            self.gone(msgspec.structs.replace(driver, why=why, intended=True, ended=now))
        else:
            self._told.pop(driver.client, None)

    def describe(
        self, message: Describe, processes: list[ProcessRecord], now: float,
        on_disk: Iterable[int] = (),
    ) -> list[NodeEffect]:  # fmt: skip
        """Pass the question on to all *processes*, the asker's too, and say who they are.

        Who asks for objects hears which of them are *on_disk*, too.
        """
        out: list[NodeEffect] = [Send(process.client, message) for process in processes]
        told = self.described(message, processes, now)
        if message.wanted & OBJECTS:
            told = msgspec.structs.replace(told, on_disk=list(islice(on_disk, message.limit)))
        return [*out, Send(message.sender, told)]

    def described(
        self, message: Describe, processes: list[ProcessRecord], now: float
    ) -> Described:
        """The node's answer: which processes live, and what those ran that do not."""
        if not message.wanted & TASKS:
            return Described(
                self._me, now, message.wanted, processes=processes, round=message.round
            )
        fresh = min(len(self._retired), self._count - message.tasks_seen.get(self._me, 0))
        ended = list(islice(self._retired, len(self._retired) - max(0, fresh), None))
        return Described(
            self._me, now, message.wanted, processes=processes, ended=ended,
            ended_count=self._count, gone=list(self._gone), round=message.round,
        )  # fmt: skip
