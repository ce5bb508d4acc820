"""`ActorPool`: spread calls over a fixed set of actors (Ray's interface).

Owns which actor is idle and the order of results. Rule: a value waits here
until an actor is free; an actor never has more than one of the pool's calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nbray.api import get, wait
from nbray.exceptions import GetTimeoutError
from nbray.refs import ObjectRef

Call = Callable[[Any, Any], ObjectRef[Any]]


class ActorPool:
    """A pool of actors: `pool.map(lambda actor, value: actor.double.remote(value), values)`."""

    def __init__(self, actors: Iterable[Any]) -> None:
        self._idle: deque[Any] = deque(actors)
        self._waiting: deque[tuple[int, Call, Any]] = deque()
        self._running: dict[ObjectRef[Any], tuple[int, Any]] = {}
        self._by_index: dict[int, ObjectRef[Any]] = {}
        self._submitted = 0
        self._returned = 0

    def submit(self, function: Call, value: Any) -> None:
        """Call `function(actor, value)` on an idle actor, or as soon as there is one."""
        self._waiting.append((self._submitted, function, value))
        self._submitted += 1
        self._start()

    def _start(self) -> None:
        while self._idle and self._waiting:
            index, function, value = self._waiting.popleft()
            actor = self._idle.popleft()
            ref = function(actor, value)
            self._running[ref] = (index, actor)
            self._by_index[index] = ref

    def _finish(self, ref: ObjectRef[Any]) -> None:
        found = self._running.pop(ref, None)
        if found is not None:
            self._idle.append(found[1])
            self._start()

    def has_next(self) -> bool:
        """Whether results are left to fetch."""
        return bool(self._by_index or self._waiting)

    def get_next(self, timeout: float | None = None) -> Any:
        """The next result in the order of submission.

        Raises:
            StopIteration: none is left.
            TimeoutError: it was not ready within *timeout* seconds.
        """
        if not self.has_next():
            raise StopIteration("no results left")
        while self._returned not in self._by_index:
            if self._returned < min(self._by_index, default=self._submitted) and not any(
                index == self._returned for index, _, _ in self._waiting
            ):
                self._returned += 1  # fetched out of order by get_next_unordered
                continue
            self._free_one(timeout)
        ref = self._by_index[self._returned]
        ready, _ = wait([ref], timeout=timeout)
        if not ready:
            raise GetTimeoutError(f"result {self._returned} was not ready within {timeout} s")
        del self._by_index[self._returned]
        self._returned += 1
        self._finish(ref)
        return get(ref)

    def get_next_unordered(self, timeout: float | None = None) -> Any:
        """Whichever result is ready first; raises as `get_next` does."""
        if not self.has_next():
            raise StopIteration("no results left")
        ready, _ = wait(list(self._by_index.values()), timeout=timeout)
        if not ready:
            raise GetTimeoutError(f"no result was ready within {timeout} s")
        ref = ready[0]
        for index, known in self._by_index.items():
            if known == ref:
                del self._by_index[index]
                break
        self._finish(ref)
        return get(ref)

    def _free_one(self, timeout: float | None) -> None:
        ready, _ = wait(list(self._running), timeout=timeout)
        if not ready:
            raise GetTimeoutError(f"no actor was free within {timeout} s")
        self._finish(ready[0])

    def map(self, function: Call, values: Iterable[Any]) -> Iterator[Any]:
        """Results of `function(actor, value)` in order."""
        self._drain()
        for value in values:
            self.submit(function, value)
        while self.has_next():
            yield self.get_next()

    def map_unordered(self, function: Call, values: Iterable[Any]) -> Iterator[Any]:
        """Results of `function(actor, value)` as they become ready."""
        self._drain()
        for value in values:
            self.submit(function, value)
        while self.has_next():
            yield self.get_next_unordered()

    def _drain(self) -> None:
        while self.has_next():
            self.get_next_unordered()

    def has_free(self) -> bool:
        """Whether an actor is idle and nothing waits."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Take an idle actor out of the pool (None: there is none)."""
        return self._idle.popleft() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Add an actor.

        Raises:
            ValueError: it is in the pool already.
        """
        if actor in self._idle or any(actor == busy for _, busy in self._running.values()):
            raise ValueError("the actor is in this pool already")
        self._idle.append(actor)
        self._start()
