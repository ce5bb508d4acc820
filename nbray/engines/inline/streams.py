"""Generators of the inline engine: run as they are read.

Owns what one generator has yielded and how far it is. Does not own how a call ends (`running`).
Rules: a generator task or method runs in the thread that reads it, a step for each value, so an
endless one may be left; it runs to its end before another call of its actor, or when its end is
waited for. What an event loop runs (methods of async actors) comes by itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from types import AsyncGeneratorType
from typing import Any

from nbray.engines.inline.objects import Objects
from nbray.engines.inline.running import Call, Runner, Upstream, may_retry
from nbray.exceptions import (
    ObjectRefStreamEndOfStreamError,
    RayError,
    TaskCancelledError,
    WorkerCrashedError,
)
from nbray.refs import ObjectRef
from nbray.wire.pickling import pack

POLL_SECONDS = 0.002
"""Seconds between two looks of a coroutine that pauses for its reader."""


class InlineStream:
    """The returns of one call. See `nbray.generators.Stream` for the methods."""

    def __init__(
        self, objects: Objects, runner: Runner, call: Call, most: int,
        holding: Callable[[], AbstractContextManager[Any]] = nullcontext,
        exits: Callable[[SystemExit], None] | None = None,
    ) -> None:  # fmt: skip
        """Of *call*, which pauses with *most* unread (0: never), each step in *holding*.

        *exits* is told where user code ends its process.
        """
        call.stream = self
        self.most = most
        self._objects = objects
        self._runner = runner
        self._call = call
        self._holding = holding
        self._exits = exits or self._crash
        self._items: deque[ObjectRef[Any]] = deque()
        self._promised: ObjectRef[Any] | None = None
        self._lock = threading.Lock()
        self._target: Callable[..., Any] | None = None
        self._values: Iterator[Any] | None = None
        self._context = contextvars.copy_context()
        self._given = self._skip = self._attempt = 0
        self._ended = self._failed = self._raised = False

    # -- its reader

    @property
    def completed(self) -> ObjectRef[Any]:
        return self._call.refs[0]

    @property
    def finished(self) -> bool:
        self._look()
        return self._ended and not self._items and (self._raised or not self._failed)

    def take(self) -> ObjectRef[Any] | None:
        self._look()
        with self._lock:
            if self._items:
                return self._items.popleft()
            if not self._ended:
                return None
        if self._failed and not self._raised:
            self._raised = True
            return self.completed
        raise StopIteration

    def peek(self) -> ObjectRef[Any]:
        self._look()
        with self._lock:
            if self._items:
                return self._items[0]
            if self._ended:
                return self.completed
            if self._promised is None:
                self._promised = self._objects.new()
            return self._promised

    def run_out(self) -> None:
        """See the protocol."""
        while self._target is not None and not self._ended:
            self._step()

    def close(self) -> None:
        if not self._ended:
            self._stop()
            if self._target is not None:
                self._runner.succeed(self._call, None)
            else:
                self._call.unread = True
        self._items.clear()

    def cancel(self) -> None:
        """End it; what was not taken is gone."""
        self._items.clear()
        if self._target is not None:
            self.cut(TaskCancelledError(f"{self._call.name} was cancelled"))

    def cut(self, error: RayError) -> None:
        """It goes no further than it is: *error* is its last return."""
        if not self._ended:
            self._stop()
            self._runner.fail(self._call, error)

    def _stop(self) -> None:
        values, self._values = self._values, None
        close = getattr(values, "close", None)
        if close is not None:
            close()

    # -- what runs

    def start(self, target: Callable[..., Any]) -> None:
        """What it reads is what *target* yields."""
        self._target = target

    def _look(self) -> None:
        """Have one value there, if it runs as it is read."""
        while self._target is not None and not self._items and not self._ended:
            self._step()

    def _step(self) -> None:
        self._context.run(self._advance)

    def _advance(self) -> None:
        call, runner, target = self._call, self._runner, self._target
        assert target is not None
        try:
            with self._holding(), runner.inside(call, self._attempt):
                if self._values is None:
                    args, kwargs = runner.arguments(call)
                    result = target(*args, **kwargs)
                    later = isinstance(result, AsyncGeneratorType)
                    self._values = _read(result) if later else iter(result)
                value = next(self._values)
            self.add(value)
        except StopIteration:
            runner.succeed(call, None)
        except Upstream as upstream:
            runner.fail(call, upstream.error)
        except SystemExit as error:
            self._stop()
            self._exits(error)
        except Exception as error:  # noqa: BLE001 - users' code raises what it likes
            self._stop()
            if self.fail(error, self._attempt):
                self._attempt += 1

    def _crash(self, error: SystemExit) -> None:
        name = self._call.name
        self._runner.fail(self._call, WorkerCrashedError(f"{name} ended its process: {error!r}"))

    def fail(self, error: Exception, attempt: int) -> bool:
        """The generator has raised: whether it is to run again, from its beginning."""
        if may_retry(self._call, error, attempt):
            self._skip = self._given
            return True
        packed = self._runner.error_of(self._call, error)
        self._append(lambda ref: self._objects.fail([ref], packed))
        self._runner.succeed(self._call, None, failed=True)
        return False

    def add(self, value: Any) -> None:
        """It has yielded *value*."""
        if self._skip:
            self._skip -= 1
            return
        packed = pack(value, f"what {self._call.name} yields")
        self._append(lambda ref: self._objects.store(ref, packed))
        self._given += 1
        self._runner.yielded(self._call)

    def _append(self, fill: Callable[[ObjectRef[Any]], None]) -> None:
        with self._lock:
            ref, self._promised = self._promised, None
            ref = ref or self._objects.new()
            self._items.append(ref)
        fill(ref)

    def end(self, failed: bool) -> None:
        """The call has ended: with an error that is no return, or in order."""
        self._failed = failed
        self._ended = True
        promised, self._promised = self._promised, None
        if promised is not None:
            gone = ObjectRefStreamEndOfStreamError("the stream has ended")
            self._objects.fail([promised], self._runner.error_of(self._call, gone))

    def _waits(self) -> bool:
        return bool(self.most) and len(self._items) >= self.most and not self._call.unread

    async def feed(self, result: Any) -> None:
        """Read *result* in the event loop of its actor."""
        if hasattr(result, "__aiter__"):
            try:
                async for value in result:
                    self.add(value)
                    while self._waits():  # noqa: ASYNC110 - the reader is in another thread
                        await asyncio.sleep(POLL_SECONDS)
                    if self._call.unread:
                        break
            finally:
                await result.aclose()
            return
        for value in result:
            self.add(value)
            if self._call.unread:
                break


def _read(result: AsyncGeneratorType[Any, Any]) -> Iterator[Any]:
    """What an asynchronous generator yields, in a loop of its own."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                value = loop.run_until_complete(anext(result))
            except StopAsyncIteration:
                return
            yield value
    finally:
        loop.run_until_complete(result.aclose())
        loop.close()
