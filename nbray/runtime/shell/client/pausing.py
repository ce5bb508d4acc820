"""The waits of a worker's task: its CPUs are offered meanwhile, and taken again after.

Owns the waiting for CPUs, in whatever thread of the task. Does not own what was lent
(`core.worker.pauses`). Rule: a wait that may be over in a moment is not offered at all; see
`soon`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from nbray.config import LATE_RESUME_SECONDS, RESUME_SECONDS
from nbray.runtime.core.client.objects.objects import Entry
from nbray.runtime.core.effects import ClientEffect
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.client.loop import Loop

GRACE = 0.002
"""Seconds after which a wait for what others may have at hand is a wait."""
_MAIN = threading.main_thread().ident


def soon(pending: Iterable[Entry]) -> bool:
    """Whether *pending* may be ready in a moment: none of them is a task of this process's own."""
    return all(getattr(getattr(e.maker, "work", None), "pool", None) is None for e in pending)


class Pause:
    """A wait of *item*, entered and left by the thread that waits."""

    __slots__ = ("_item", "_loop", "_worker", "late", "now")

    def __init__(self, loop: Loop, worker: WorkerBrain, item: Item) -> None:
        self._loop = loop
        self._worker = worker
        self._item = item
        self.now = loop.now
        self.late = False
        """What was waited for has not come in time: who said how long must not wait much more."""

    def __enter__(self) -> Self:
        worker, main = self._worker, threading.get_ident() == _MAIN
        self._loop.locked(lambda: worker.block(self._item, main))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        loop, worker = self._loop, self._worker
        pauses = worker.pauses
        loop.locked(lambda: worker.unblock(self._item))
        if not pauses.awaits:
            return
        patience = 0.0 if kind else LATE_RESUME_SECONDS if self.late else RESUME_SECONDS
        event = Flag()
        wake = loop.notify(event)

        def start() -> list[ClientEffect]:
            pauses.wakers.append(wake)
            return []

        def over() -> bool:
            return not pauses.awaits or bool(worker.client.ended)

        try:
            loop.wait(over, loop.now() + patience, event, start)
        finally:
            if pauses.awaits:
                loop.locked(pauses.go_on)


Waits = Callable[[float | None], tuple[bool, Any]]
"""Waits for some seconds (None: without end): (whether it has come, how far it is)."""


def waited(pause: Any, pending: Iterable[Entry], timeout: float | None, wait: Waits) -> Any:
    """Wait, in *pause* if it takes longer than a moment; what *wait* returned last."""
    if pause is None:
        return wait(timeout)
    began = pause.now()
    if soon(pending):
        reached, left = wait(GRACE if timeout is None else min(timeout, GRACE))
        if reached:
            return reached, left
    with pause:
        rest = None if timeout is None else max(0.0, began + timeout - pause.now())
        reached, left = wait(rest)
        pause.late = not reached
    return reached, left
