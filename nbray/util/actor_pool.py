"""`ActorPool`: spread calls over a fixed set of actors (Ray's interface).

Owns which actor is idle and the order of results. Rule: a value waits here
until an actor is free; an actor never has more than one of the pool's calls.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nbray.api import get, wait
from nbray.exceptions import ActorDiedError
from nbray.refs import ObjectRef

Call = Callable[[Any, Any], Any]
"""`call(actor, value)` gives a reference, or a list of them."""


class ActorPool:
    """A pool of actors: `pool.map(lambda actor, value: actor.double.remote(value), values)`."""

    def __init__(self, actors: Iterable[Any]) -> None:
        self._idle: deque[Any] = deque(actors)
        self._waiting: deque[tuple[int, Call, Any]] = deque()
        self._running: dict[ObjectRef[Any], tuple[int, Any]] = {}
        self._by_index: dict[int, Any] = {}
        """What calls gave, a reference or a list of them, until it was fetched."""
        self._submitted = 0
        self._returned = 0
        self._started = 0
        """How many were called."""
        self._passed = 0
        """One more than the last index that was fetched."""

    def submit(self, function: Call, value: Any) -> None:
        """Call `function(actor, value)` on an idle actor, or as soon as there is one."""
        self._waiting.append((self._submitted, function, value))
        self._submitted += 1
        self._start()

    def _start(self) -> None:
        while self._idle and self._waiting:
            index, function, value = self._waiting.popleft()
            actor = self._idle.pop()  # as in Ray: the one that was idle last
            called = function(actor, value)
            ref = called[0] if isinstance(called, list) else called
            self._running[ref] = (index, actor)
            self._by_index[index] = called
            self._started = index + 1

    def _finish(self, ref: ObjectRef[Any], alive: bool = True) -> None:
        found = self._running.pop(ref, None)
        if found is not None and alive:
            self._idle.append(found[1])
        self._start()

    def has_next(self) -> bool:
        """Whether results are left to fetch, and an actor for those that wait."""
        return bool(self._by_index or (self._waiting and (self._running or self._idle)))

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of submission.

        Args:
            ignore_if_timedout: a result that is not ready in time is given up, and the next
                call goes on behind it; its actor is taken for idle.

        Raises:
            StopIteration: none is left.
            TimeoutError: it was not ready within *timeout* seconds.
            ValueError: `get_next_unordered` has given the last one that was started.
            RayError: the call failed. An actor that has died leaves the pool.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        if self._passed >= self._started:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        while self._returned not in self._by_index:
            if self._returned < min(self._by_index, default=self._submitted) and not any(
                index == self._returned for index, _, _ in self._waiting
            ):
                self._returned += 1  # fetched out of order by get_next_unordered
                continue
            self._free_one(timeout)
        called = self._by_index[self._returned]
        ready, _ = wait(called if isinstance(called, list) else [called], timeout=timeout)
        if ready:
            index, self._returned = self._returned, self._returned + 1
            return self._result(index)
        if ignore_if_timedout:
            self._give_up(self._returned)
            self._returned += 1
        raise _timed_out(called, ignore_if_timedout)

    def get_next_unordered(
        self, timeout: float | None = None, ignore_if_timedout: bool = False
    ) -> Any:
        """Whichever result is ready first; raises as `get_next` does."""
        if not self.has_next():
            raise StopIteration("No more results to get")
        by_ref = {
            called[0] if isinstance(called, list) else called: index
            for index, called in self._by_index.items()
        }
        ready, _ = wait(list(by_ref), timeout=timeout)
        if ready:
            return self._result(by_ref[ready[0]])
        first = min(self._by_index)
        called = self._by_index[first]
        if ignore_if_timedout:
            self._give_up(first)
        raise _timed_out(called, ignore_if_timedout)

    def _result(self, index: int) -> Any:
        self._passed = max(self._passed, index + 1)
        called = self._by_index.pop(index)
        ref = called[0] if isinstance(called, list) else called
        alive = True
        try:
            return get(called)
        except ActorDiedError:
            alive = False
            raise
        finally:
            self._finish(ref, alive)

    def _give_up(self, index: int) -> None:
        self._passed = max(self._passed, index + 1)
        called = self._by_index.pop(index)
        self._finish(called[0] if isinstance(called, list) else called)

    def _free_one(self, timeout: float | None) -> None:
        ready, _ = wait(list(self._running), timeout=timeout)
        if not ready:
            raise TimeoutError("Timed out waiting for result")
        self._finish(ready[0])

    def map(self, function: Call, values: Iterable[Any]) -> Iterator[Any]:
        """Results of `function(actor, value)` in order; the calls are submitted at once.

        What was submitted before is given up.
        """
        self._submit_all(function, values)
        return self._each(self.get_next)

    def map_unordered(self, function: Call, values: Iterable[Any]) -> Iterator[Any]:
        """Results of `function(actor, value)` as they become ready; as `map` otherwise."""
        self._submit_all(function, values)
        return self._each(self.get_next_unordered)

    def _submit_all(self, function: Call, values: Iterable[Any]) -> None:
        while self.has_next():
            with contextlib.suppress(TimeoutError):
                self.get_next(timeout=0, ignore_if_timedout=True)
        for value in values:
            self.submit(function, value)

    def _each(self, following: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield following()

    def has_free(self) -> bool:
        """Whether an actor is idle and nothing waits."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Take an idle actor out of the pool (None: there is none)."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Add an actor.

        Raises:
            ValueError: it is in the pool already.
        """
        if actor in self._idle or any(actor == busy for _, busy in self._running.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._idle.append(actor)
        self._start()


def _timed_out(called: Any, ignored: bool) -> TimeoutError:
    given_up = f". The task {called} has been ignored." if ignored else ""
    return TimeoutError(f"Timed out waiting for result{given_up}")
