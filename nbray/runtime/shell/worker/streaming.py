"""Running generators in a worker: each value leaves as it is yielded.

Owns the iteration of a task that yields its returns, in whatever thread or loop it runs, its
pauses for its reader, and what several returns are made of. Does not own the messages
(`core.worker.yields`). Rules: the first value leaves at once, what follows within a millisecond
leaves together, and what is late is sent by the loop thread; a generator that nobody reads is
closed where it yields.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import islice
from math import inf
from types import AsyncGeneratorType
from typing import Any, Protocol

from nbray.config import unread_bytes
from nbray.exceptions import ObjectStoreFullError, RayError, on_behalf
from nbray.generators import DynamicObjectRefGenerator
from nbray.options import DYNAMIC
from nbray.refs import ObjectRef
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.runtime.core.worker.yields import Unread, Yield
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory
from nbray.runtime.shell.client.pausing import Pause
from nbray.runtime.shell.worker.returns import Returns, Yielded
from nbray.wire.messages import Outcome, Value
from nbray.wire.pickling import pack, pack_error

GATHER_SECONDS = 0.001
"""Seconds for which values gather that follow each other."""
FULL_SECONDS, RETRY_SECONDS = 10.0, 0.05
"""Seconds for which a value waits for room in the store, and between two tries."""


def _full(error: RayError) -> bool:
    """Whether what could not be stored found no room, in memory or on disk."""
    from nbray.unraised_exceptions import OutOfDiskError  # late: hardly ever

    return isinstance(error, ObjectStoreFullError | OutOfDiskError)


class Runs(Protocol):
    """What generators need of whoever runs tasks (`executor.Executor`)."""

    brain: WorkerBrain
    loop: Loop
    memory: Memory
    returns: Returns
    _node_name: str
    _pid: int

    def flush(self) -> None:
        """Send what has gathered."""

    def _task_name(self, item: Item) -> str: ...



class Streaming:
    """The generators of one worker."""

    def __init__(self, executor: Runs) -> None:
        self._executor = executor
        self._brain = executor.brain
        self._yields = executor.brain.yields
        self._loop = executor.loop
        self._lock = threading.Lock()
        self._counts: dict[tuple[int, int], int] = {}
        """How many values each running task has yielded."""
        self.most_unread = unread_bytes(os.environ)
        """Bytes in the store that one of them may have unread."""
        self.moved: list[Callable[[], None]] = []
        """Called when a coroutine that pauses should look again."""

    # -- running --------------------------------------------------------------------

    def run(self, item: Item, result: Any) -> Any:
        """Yield all of *result*; a coroutine that does so for an asynchronous generator."""
        wanted = item.spec.num_returns
        if isinstance(result, AsyncGeneratorType):
            made: Coroutine[Any, Any, Any]
            alone = not self._in_loop()
            if wanted >= 0:
                made = self._several_async(item, result)
            else:
                made = self._run_async(item, result, alone)
            return asyncio.run(made) if alone else made
        if wanted == 0:
            return deque(result, maxlen=0)  # its body has not run yet
        return self._several(item, result) if wanted > 0 else self._run(item, result)

    @staticmethod
    def _in_loop() -> bool:
        return asyncio._get_running_loop() is not None

    # -- a number of returns -----------------------------------------------------------

    def _several(self, item: Item, result: Iterator[Any]) -> Yielded:
        """As many as are wanted, each packed as it is yielded; the error stands for the others."""
        name = self._executor._task_name(item)

        def parts() -> Iterator[Any]:
            wanted = item.spec.num_returns
            count = 0
            try:
                for value in islice(result, wanted):
                    yield value
                    count += 1
            except Exception as error:
                if item.spec.retry_on:
                    raise
                found: Exception = error
            else:
                found = self._too_few(name, count, wanted)
            host = self._executor
            data = pack_error(found, name, host._node_name, host._pid) if count < wanted else b""
            for _ in range(wanted - count):
                yield Value(data, failed=True)

        values = self._executor.returns.pieces(item, parts(), name)
        result.close()  # type: ignore[attr-defined]
        return Yielded(values)

    async def _several_async(self, item: Item, result: AsyncIterator[Any]) -> Any:
        values = []
        wanted = item.spec.num_returns
        async for value in result:
            values.append(value)
            if len(values) >= wanted:
                break
        await result.aclose()  # type: ignore[attr-defined]
        return self._several(item, (value for value in values)) if wanted else None

    @staticmethod
    def _too_few(name: str, count: int, wanted: int) -> Exception:
        text = f"{name}: Task returned {count} objects, but num_returns={wanted}."
        error: Exception = on_behalf(ValueError(text))
        return error

    # -- streams -----------------------------------------------------------------------

    def _run(self, item: Item, result: Any) -> None:
        values = self._iterator(item, result)
        unread = self._unread(item)
        push, stops, most = self._begin(item, unread), self._stops(item), item.spec.most_unread
        key, taken = (item.caller, item.seq), self._yields.taken
        now, executor = self._loop.now, self._executor
        sent, most_bytes = 0.0, unread.most
        try:
            for count, value in enumerate(values, 1):
                push(value)
                if now() - sent > GATHER_SECONDS:
                    executor.flush()
                    sent = now()
                if (most and count - taken.get(key, 0) >= most) or unread.bytes >= most_bytes:
                    self._pause(item, partial(self._moves, item, count, stops, unread))
                if stops():
                    self._stopped(item)
                    break
        finally:
            close = getattr(values, "close", None)
            if close is not None:
                close()
            self._end(item)

    async def _run_async(self, item: Item, result: AsyncIterator[Any], alone: bool) -> None:
        """In the loop of an actor, or, *alone*, in one of the task's own."""
        unread = self._unread(item)
        push, stops, most = self._begin(item, unread), self._stops(item), item.spec.most_unread
        now, executor = self._loop.now, self._executor
        sent, count = 0.0, 0
        try:
            async for value in result:
                push(value)
                count += 1
                if now() - sent > GATHER_SECONDS:
                    executor.flush()
                    sent = now()
                while (most or unread.bytes >= unread.most) and not self._moves(
                    item, count, stops, unread
                ):
                    if alone:
                        self._pause(item, partial(self._moves, item, count, stops, unread))
                    else:
                        await self._moved()
                if stops():
                    self._stopped(item)
                    break
        finally:
            await result.aclose()  # type: ignore[attr-defined]
            self._end(item)

    def _iterator(self, item: Item, result: Any) -> Iterator[Any]:
        try:
            return iter(result)
        except TypeError:
            text = f"{self._executor._task_name(item)} streams its returns, but is no generator"
            raise on_behalf(TypeError(text)) from None

    def _unread(self, item: Item) -> Unread:
        """What *item* will have unread: nobody takes one by one what is kept together."""
        return Unread(inf if item.spec.num_returns == DYNAMIC else self.most_unread)

    def _begin(self, item: Item, unread: Unread) -> Callable[[Any], None]:
        """What takes each value that is yielded."""
        key = (item.caller, item.seq)
        self._yields.taken[key] = 0
        counts, append = self._counts, self._yields.waiting.append
        packed, hold = self._executor.returns.yielded, self._brain.client.objects.hold
        stops = self._stops(item)
        what = f"what {self._executor._task_name(item)} yields"
        counts[key] = 0

        def push(value: Any) -> None:
            index = counts[key]
            try:
                data, whole = packed(item, value, what)
            except RayError as error:
                if not index or self._in_loop() or not _full(error):
                    raise
                data, whole = self._when_there_is_room(
                    item, lambda: packed(item, value, what), stops, unread
                )
            if whole is None:
                append(Yield(key, index, data))
            else:
                refs = tuple(whole.refs)
                hold(refs)
                append(Yield(key, index, b"", whole, refs))
                if whole.slots:
                    unread.add(index + 1, whole.slots[0].size)
            counts[key] = index + 1

        return push

    def _when_there_is_room(
        self, item: Item, store: Callable[[], Any], stops: Callable[[], bool], unread: Unread
    ) -> Any:
        """Try to *store* a value again and again: what fills the store may be what is not read.

        As long as something of the task itself is not read, its reader makes room by reading.

        Raises:
            ObjectStoreFullError, OutOfDiskError: nothing has made room for long enough.
        """
        self._executor.flush()
        now, key = self._loop.now, (item.caller, item.seq)
        until = now() + FULL_SECONDS
        with Pause(self._loop, self._brain, item) if self._brain.current is item else nullcontext():
            while True:
                self._loop.wait(stops, now() + RETRY_SECONDS, Flag())
                try:
                    return store()
                except RayError as error:
                    if not _full(error) or stops():
                        raise
                    if unread.taken(self._yields.taken.get(key, 0)):
                        until = now() + FULL_SECONDS
                    elif now() >= until:
                        raise

    def _stops(self, item: Item) -> Callable[[], bool]:
        """Tells whether nobody wants more: nobody reads, it was cancelled, the caller is dead."""
        key, brain = (item.caller, item.seq), self._brain
        unread, cancelled, client = self._yields.unread, brain.cancelled, brain.client
        lost = client.objects.lost
        return lambda: (
            key in unread or key in cancelled or bool(client.ended)
            or lost(item.caller) is not None
        )  # fmt: skip

    def _stopped(self, item: Item) -> None:
        """It stops where it has yielded. Raises if it was cancelled."""
        if (item.caller, item.seq) in self._brain.cancelled:
            raise KeyboardInterrupt("cancelled")

    def _moves(
        self, item: Item, count: int, stops: Callable[[], bool], unread: Unread
    ) -> bool:
        """Whether a task that has yielded *count* values need not wait for its reader."""
        taken, most = self._yields.taken.get((item.caller, item.seq), 0), item.spec.most_unread
        fits = not most or count - taken < most
        return (fits and unread.taken(taken) < unread.most) or stops()

    def _end(self, item: Item) -> None:
        key = (item.caller, item.seq)
        self._yields.taken.pop(key, None)
        self._yields.unread.pop(key, None)

    # -- pausing ----------------------------------------------------------------------

    def _pause(self, item: Item, over: Callable[[], bool]) -> None:
        """Wait until the reader has taken enough; the task's CPUs are lent meanwhile."""
        self._executor.flush()
        if over():
            return
        alone = self._brain.current is item
        with Pause(self._loop, self._brain, item) if alone else nullcontext():
            self._loop.wait(over, None, Flag())

    async def _moved(self) -> None:
        """Wait until something was heard from a reader."""
        self._executor.flush()
        event = asyncio.Event()
        self.moved.append(event.set)
        await event.wait()

    def news(self) -> None:
        """In the event loop: something was heard."""
        moved, self.moved = self.moved, []
        for one in moved:
            one()

    # -- answers -----------------------------------------------------------------------

    def values(
        self, item: Item, error: Value | None = None, cancelled: bool = False
    ) -> list[Value]:
        """What the answer of a task has that has yielded: its own value, and its error if any."""
        count = self._counts.pop((item.caller, item.seq), -1)
        if error is not None and (count < 0 or cancelled):
            return [error]  # it has not begun, or nobody wants what it yielded
        refs: list[Any] = []
        if item.spec.num_returns == DYNAMIC:
            engine = self._executor.memory.engine
            refs = [
                ObjectRef(item.caller, item.seq + 1 + index, engine, None)
                for index in range(count + (error is not None))
            ]
            packed = pack(DynamicObjectRefGenerator(refs), "its returns")
        else:
            packed = pack(None)
        own = Value(packed.join(), [], list(packed.refs))
        return [own] if error is None else [own, error]

    def outcome(self, item: Item) -> Outcome:
        """The answer of a task that has yielded all."""
        return Outcome(item.seq, self.values(item))
