"""What a client has sent to each worker: specs, functions, modules; and what to take back.

Owns the memory of it, and the end of definitions: when nobody can call a
function any more and no task runs it, the workers that have it let go of it and
of what it took along. Does not own functions (the shell's) or workers. Rules:
what a worker knows is sent once; a worker that does not have a function after
all bounces its tasks with the function's hash, and it is sent again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection
from typing import Any

from nbray.ids import node_of
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Spec, Undefine

LOOK_SECONDS = 0.2
"""Least time between two looks at which functions unfinished tasks still need."""
LOOK_EACH = 2e-5
"""Seconds added to it for each unfinished task, so that looking stays cheap."""


class SentDefinitions:
    """What the workers know from client *me*."""

    def __init__(self, me: int) -> None:
        self._me = me
        self._by_worker: dict[int, set[Any]] = {}
        """Numbers of specs, hashes of functions and modules."""
        self.ended: deque[bytes] = deque()
        """Functions whose last definition went; filled by any thread, and by garbage collection."""
        self._next = 0.0

    def news(self, worker: int, work: Work) -> tuple[list[Spec], dict[bytes, bytes]]:
        """What *worker* lacks to run *work*; it has it from now on."""
        known = self._by_worker.get(worker)
        if known is None:
            known = self._by_worker[worker] = set()
        spec = work.spec
        lacks_spec = spec.id not in known
        functions: dict[bytes, bytes] = {}
        if spec.function not in known:
            known.add(spec.function)
            functions[spec.function] = work.function
            if work.modules is not None and work.modules[0] not in known:
                known.add(work.modules[0])
                functions[work.modules[0]] = work.modules[1]
        known.add(spec.id)
        return [spec] if lacks_spec else [], functions

    def lacks(self, worker: int, function: bytes) -> None:
        """*worker* says that it does not have *function*."""
        known = self._by_worker.get(worker)
        if known is not None:
            known.discard(function)

    def settle(
        self, now: float, defined: Callable[[bytes], bool],
        unfinished: Callable[[], Collection[Task]],
    ) -> list[ClientEffect]:  # fmt: skip
        """Have workers let go of the functions that have ended, except those *unfinished* need."""
        if now < self._next:
            return []
        tasks = unfinished()
        self._next = now + LOOK_SECONDS + LOOK_EACH * len(tasks)
        needed = {task.work.spec.function for task in tasks}
        back: defaultdict[int, list[bytes]] = defaultdict(list)
        for _ in range(len(self.ended)):
            function = self.ended.popleft()
            if defined(function):
                continue
            if function in needed:
                self.ended.append(function)
                continue
            for worker, known in self._by_worker.items():
                if function in known:
                    known.discard(function)
                    back[worker].append(function)
        return [Send(worker, Undefine(self._me, gone)) for worker, gone in back.items()]

    def died(self, worker: int) -> None:
        """Forget a dead worker."""
        self._by_worker.pop(worker, None)

    def node_died(self, node: int) -> None:
        """Forget the workers of a dead node."""
        for worker in [worker for worker in self._by_worker if node_of(worker) == node]:
            del self._by_worker[worker]
