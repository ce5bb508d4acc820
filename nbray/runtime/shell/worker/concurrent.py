"""Actors that do several things at once: `async def` methods, or several threads.

Owns how such an actor's calls overlap. Calls start in the order in which they
came; how they end is up to them.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Container
from queue import Empty, SimpleQueue
from types import CoroutineType
from typing import TYPE_CHECKING

from nbray import session
from nbray.exceptions import TaskCancelledError, is_end_of_actor, on_behalf
from nbray.runtime.core.worker.brain import Item
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.worker.executor import FLUSH_SECONDS, running

if TYPE_CHECKING:
    from nbray.runtime.shell.worker.executor import Executor


def _ended(executor: Executor) -> bool:
    return bool(executor.brain.client.ended or executor.loop.closed or executor.leaving)


def _waits_to_leave(executor: Executor, error: BaseException, others: int) -> bool:
    """Whether this is `exit_actor` beside *others* that run: they run to their ends, as in Ray."""
    if others and isinstance(error, SystemExit) and is_end_of_actor(error):
        executor.parting = error
    return executor.parting is error


def _leave(executor: Executor, others: int) -> None:
    """End the process if that was asked for and no *others* run."""
    if executor.parting is not None and not others:
        from nbray.runtime.shell.worker import ending  # few do so

        ending.leave(executor, executor.parting)


class Group:
    """Calls that share threads: those of one concurrency group, or of none."""

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.most = most
        self.waiting: SimpleQueue[Item] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.unfinished = 0


class Threads:
    """The calls of an actor that runs several in threads, until it ends; for the main thread.

    Each group has threads of its own. A thread's answers gather while calls wait for it; they
    leave before it would block, or when they are late, from whoever notices.
    """

    def __init__(self, executor: Executor, concurrency: int, groups: dict[str, int]) -> None:
        self._executor = executor
        self._event = Flag()
        self._counting = threading.Lock()
        self._groups = {"": Group("", concurrency)}
        self._groups |= {name: Group(name, most) for name, most in groups.items()}

    def serve(self) -> None:
        """Take calls until the actor ends."""
        executor = self._executor
        queue = executor.brain.queue
        while not _ended(executor):
            try:
                item = queue.popleft()
            except IndexError:
                if self._late():  # its thread is busy with a longer call
                    executor.flush(raw=True)
                executor.loop.wait(
                    lambda: bool(queue) or self._late() or _ended(executor), None, self._event
                )
                continue
            if isinstance(item, Item):
                self._hand_out(item)

    def _late(self) -> bool:
        executor = self._executor
        waited = executor.loop.now() - executor.flushed
        return bool(executor.brain.done) and waited > FLUSH_SECONDS

    def _hand_out(self, item: Item) -> None:
        group = self._groups.get(item.spec.group) or self._groups[""]
        with self._counting:
            group.unfinished += 1
        group.waiting.put(item)
        threads = group.threads
        if len(threads) < min(group.most, group.unfinished):  # one for each: calls may need others
            name = f"nbray-actor_{group.name}{len(threads)}"
            threads.append(
                threading.Thread(target=self._work, args=(group,), name=name, daemon=True)
            )
            threads[-1].start()

    def _work(self, group: Group) -> None:
        executor = self._executor
        while True:
            try:
                item = group.waiting.get_nowait()
            except Empty:
                if executor.brain.done:
                    executor.flush(raw=True)
                item = group.waiting.get()
            contextvars.copy_context().run(self._run, group, item)
            if self._late() or executor.output.waiting:
                executor.flush(raw=True)

    def _run(self, group: Group, item: Item) -> None:
        executor, brain = self._executor, self._executor.brain
        key = (item.caller, item.seq)
        running.set(item)
        session.cell.set(item.spec.cell)
        with self._counting:
            if executor.parting is not None:
                return
            brain.enter()
        started = executor.loop.now()
        try:
            _unless_cancelled(executor, key)
            _of_a_group(item, self._groups)
            result = executor._call(item)
            _unless_cancelled(executor, key)
            done = executor.answer(item, result, started)
            executor.note(item, None, started, done)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its answer
            with self._counting:
                if _waits_to_leave(executor, error, brain.concurrent - 1):
                    brain.leave()
                    return
            done = executor.failure(item, error, started)
            executor.note(item, error, started, done)
        with self._counting:
            brain.leave()
            group.unfinished -= 1
            left = brain.concurrent
        brain.cancelled.discard(key)
        brain.done.append(done)
        if self._executor.parting is not None:
            _leave(executor, left)


def _unless_cancelled(executor: Executor, key: tuple[int, int]) -> None:
    """What is returned by what was cancelled counts for nothing."""
    if key in executor.brain.cancelled:
        raise TaskCancelledError("cancelled")


def _of_a_group(item: Item, groups: Container[str]) -> None:
    """Refuse a call of a group that there is not.

    Raises:
        ValueError: there is no such group.
    """
    if item.spec.group and item.spec.group not in groups:
        raise on_behalf(ValueError(f"the actor has no concurrency group {item.spec.group!r}"))


def serve_async(executor: Executor, concurrency: int, groups: dict[str, int]) -> None:
    """Run calls as coroutines of one event loop in the main thread until the actor ends."""
    runner = executor.runner or asyncio.Runner()
    with runner:
        runner.run(AsyncCalls(executor, concurrency, groups).serve())


class AsyncCalls:
    """The calls of an async actor: at most *concurrency* at a time, started in order.

    Those of a concurrency group are counted apart, and wait apart for others of theirs.

    The event loop reads the inbox itself, so that a call wakes one thread; the loop
    thread takes over while a coroutine does not await.
    """

    def __init__(self, executor: Executor, concurrency: int, groups: dict[str, int]) -> None:
        self._executor = executor
        self._brain = executor.brain
        self._limit = concurrency
        self._room = {"": concurrency, **groups} if groups else {}
        """How many more calls of each group may run, those of none in particular as well."""
        self._waiting: dict[str, deque[Item]] = {name: deque() for name in self._room}
        self._grouped = 0
        """How many run that are of a group."""
        self._loop: asyncio.AbstractEventLoop
        self._ended = asyncio.Event()
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._flushing = False

    async def serve(self) -> None:
        """Take calls until the actor ends."""
        executor = self._executor
        self._loop = asyncio.get_running_loop()
        executor.watch_news(self._news)
        fd = executor.loop.post.fd
        self._loop.add_reader(fd, self._read)
        self._start()
        try:
            await self._ended.wait()
        finally:
            self._loop.remove_reader(fd)
            executor.watch_news(None)

    def _read(self) -> None:
        """The inbox has something."""
        self._executor.loop.turn()
        self._start()

    def _news(self) -> None:
        """Calls or cancellations have come; in whichever thread took them."""
        if threading.current_thread() is not threading.main_thread() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        """Start what is queued, as far as the limit allows; cancel what is to be cancelled."""
        brain, tasks, loop = self._brain, self._tasks, self._loop
        if self._executor._streaming is not None:
            self._executor._streaming.news()
        queue = brain.queue
        while queue and len(tasks) - self._grouped < self._limit and self._executor.parting is None:
            item = queue.popleft()
            if isinstance(item, Item):
                if item.spec.group in self._room:
                    self._waiting[item.spec.group].append(item)
                    self._start_group(item.spec.group)
                else:
                    tasks[item.caller, item.seq] = loop.create_task(self._run(item))
        for key in list(brain.cancelled):
            task = tasks.get(key)
            if task is not None:
                task.cancel()
            elif not self._waits(key):
                brain.cancelled.discard(key)
        if _ended(self._executor):
            self._ended.set()

    def _waits(self, key: tuple[int, int]) -> bool:
        """Whether this call waits for others of its group."""
        waiting = self._waiting.values()
        return any((item.caller, item.seq) == key for group in waiting for item in group)

    def _start_group(self, name: str) -> None:
        """Start what waits of a group, as far as its own limit allows."""
        waiting = self._waiting[name]
        while waiting and self._room[name] and self._executor.parting is None:
            item = waiting.popleft()
            self._room[name] -= 1
            self._grouped += 1
            self._tasks[item.caller, item.seq] = self._loop.create_task(self._run_grouped(item))

    async def _run_grouped(self, item: Item) -> None:
        name = item.spec.group
        try:
            await self._run(item)
        finally:
            self._room[name] += 1
            self._grouped -= 1
            self._start_group(name)

    async def _run(self, item: Item) -> None:
        executor, brain = self._executor, self._brain
        running.set(item)
        session.cell.set(item.spec.cell)
        started = executor.loop.now()
        key = (item.caller, item.seq)
        brain.enter()
        try:
            if item.spec.group:
                _of_a_group(item, self._room)
                if key in brain.cancelled:
                    raise asyncio.CancelledError
            result = executor._call(item)
            if type(result) is CoroutineType or inspect.isawaitable(result):
                result = await result
            _unless_cancelled(executor, key)
            done = executor.answer(item, result, started)
            executor.note(item, None, started, done)
        except asyncio.CancelledError as error:
            done = executor.failure(item, KeyboardInterrupt("cancelled"), started)
            executor.note(item, error, started, done)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its answer
            if _waits_to_leave(executor, error, len(self._tasks) - 1):
                del self._tasks[key]
                brain.leave()
                return
            told = KeyboardInterrupt("cancelled") if key in brain.cancelled else error
            done = executor.failure(item, told, started)
            executor.note(item, told, started, done)
        del self._tasks[key]
        brain.leave()
        if brain.cancelled:
            brain.cancelled.discard(key)
        brain.done.append(done)
        if executor.parting is not None:
            _leave(executor, len(self._tasks))
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._executor.flush()
        if self._brain.queue:
            self._start()
