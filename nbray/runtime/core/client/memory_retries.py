"""Tasks that were ended for want of memory and are tried again later.

Owns when each may begin again, how often that happened, and the sentences about it under the bar.
Does not own whether a task may be tried again at all (`tasks`), nor how many then run beside it
(its node's `memory_guard`). Rules, as Ray has them (`RAY_task_oom_retries`): what a node ended
before its memory was used up costs none of `max_retries`, and is tried again without end unless
that variable bounds it; what the kernel ended is an attempt like any other. Either waits first.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nbray.config import MEMORY_RETRY_SECONDS, MOST_MEMORY_RETRY_SECONDS
from nbray.ids import node_of
from nbray.runtime.core.client.task_records import Task
from nbray.wire.messages import Death

ADVICE = (
    "; it may take less in smaller parts or with fewer copies, `memory=` (bytes) has fewer of them "
    "run at once, or a machine with more can join"
)
"""The end of the error of one that is not tried again."""


class _Counts(msgspec.Struct):
    task: Task
    times: int = 0
    free: int = 0
    """Of which not charged."""


class MemoryRetries:
    """Those of one client. *most* is how often a task is tried again (below 0: without end)."""

    def __init__(self) -> None:
        self.most = -1
        self._counts: dict[int, _Counts] = {}
        """By number, of tasks that have not ended (or not been looked at since)."""
        self.waiting: list[tuple[float, Task, int]] = []
        """(when, task, the node where it was ended)."""

    def free(self, task: Task) -> int:
        """How many of its attempts are not charged."""
        if not self._counts:
            return 0
        counts = self._counts.get(task.seq)
        return 0 if counts is None else counts.free

    def takes(self, task: Task, death: Death, charged: bool, now: float) -> bool:
        """Whether *task* is tried again later, after a *death* for want of memory.

        *charged*: an attempt of it is left.
        """
        free = False
        if death.intended:  # its node ended it, and says whether it may ever fit
            free = death.again and bool(task.work.max_retries)
            free = free and (self.most < 0 or self.free(task) < self.most)
            if not free:
                return False
        elif not charged:
            return False
        task.attempt += 1
        self._wait(task, node_of(death.client), free, now)
        return True

    def _wait(self, task: Task, node: int, free: bool, now: float) -> None:
        self._sweep()
        counts = self._counts.setdefault(task.seq, _Counts(task))
        pause = min(MOST_MEMORY_RETRY_SECONDS, MEMORY_RETRY_SECONDS * 2.0 ** min(counts.times, 10))
        counts.times += 1
        counts.free += free
        self.waiting.append((now + pause, task, node))

    def _sweep(self) -> None:
        """Forget those that have ended: they are at no worker, and wait nowhere."""
        if len(self._counts) > 100:
            waiting = {task.seq for _, task, _ in self.waiting}
            kept = {
                seq: one
                for seq, one in self._counts.items()
                if seq in waiting or one.task.lease is not None
            }
            self._counts = kept

    def ready(self, now: float) -> list[Task]:
        """Those whose time has come."""
        due = [task for when, task, _ in self.waiting if when <= now]
        if due:
            self.waiting = [one for one in self.waiting if one[0] > now]
        return [task for task in due if not task.cancelled]

    def next_deadline(self) -> float | None:
        """When `ready` has some. Any thread: it looks at a copy."""
        return min([one[0] for one in list(self.waiting)]) if self.waiting else None

    def sentences(self, now: float, name_of: Callable[[int], str]) -> dict[str, list[str]]:
        """What waits so, a sentence each, by cell. Any thread.

        Args:
            now: the time.
            name_of: what a node is called.
        """
        found: dict[tuple[str, str, int], list[float]] = {}
        for when, task, node in list(self.waiting):
            if not task.cancelled:
                spec = task.work.spec
                found.setdefault((spec.cell, spec.name, node), []).append(when)
        by_cell: dict[str, list[str]] = {}
        for (cell, name, node), times in found.items():
            seconds = max(1, round(min(times) - now))
            by_cell.setdefault(cell, []).append(
                f"{len(times):,} waiting: {name} was ended because memory ran low on "
                f"{name_of(node)}; it is "
                f"tried again in {seconds} s, with less beside it"
            )
        return by_cell
