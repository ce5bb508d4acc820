"""Actors that do several things at once: `async def` methods, or several threads.

Owns how such an actor's calls overlap. Calls start in the order in which they
came; how they end is up to them.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from queue import Empty, SimpleQueue
from types import CoroutineType
from typing import TYPE_CHECKING

from nbray import session
from nbray.runtime.core.worker.brain import Item
from nbray.runtime.shell.worker.executor import FLUSH_SECONDS, running

if TYPE_CHECKING:
    from nbray.runtime.shell.worker.executor import Executor


def _ended(executor: Executor) -> bool:
    return bool(executor.brain.client.ended or executor.loop.closed or executor.leaving)


def serve_threads(executor: Executor, concurrency: int) -> None:
    """Run calls in up to *concurrency* threads until the actor ends. Runs in the main thread.

    A thread's answers gather while calls wait for it; they leave before it would
    block, or when they are late, from whoever notices.
    """
    brain = executor.brain
    queue = brain.queue
    event = threading.Event()
    waiting: SimpleQueue[Item] = SimpleQueue()
    threads: list[threading.Thread] = []
    counting = threading.Lock()
    unfinished = 0

    def late() -> bool:
        return bool(brain.done) and executor.loop.now() - executor.flushed > FLUSH_SECONDS

    def serve() -> None:
        while True:
            try:
                item = waiting.get_nowait()
            except Empty:
                if brain.done:
                    executor.flush()
                item = waiting.get()
            contextvars.copy_context().run(run, item)
            if late() or executor.output.waiting:
                executor.flush()

    def run(item: Item) -> None:
        nonlocal unfinished
        running.set(item)
        session.cell.set(item.spec.cell)
        with counting:
            brain.enter()
        started = executor.loop.now()
        try:
            result = executor._call(item)
            done = executor.answer(item, result, started)
            executor.note(item, None, started, done)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its answer
            done = executor.failure(item, error, started)
            executor.note(item, error, started, done)
        with counting:
            brain.leave()
            unfinished -= 1
        brain.cancelled.discard((item.caller, item.seq))
        brain.done.append(done)
        if executor.leaving:
            executor.flush()
            event.set()
            executor.loop.wake()

    while not _ended(executor):
        try:
            item = queue.popleft()
        except IndexError:
            if late():  # its thread is busy with a longer call
                executor.flush()
            executor.loop.wait(lambda: bool(queue) or late() or _ended(executor), None, event)
            continue
        if isinstance(item, Item):
            with counting:
                unfinished += 1
            waiting.put(item)
            if len(threads) < min(concurrency, unfinished):  # one for each: calls may need others
                name = f"nbray-actor_{len(threads)}"
                threads.append(threading.Thread(target=serve, name=name, daemon=True))
                threads[-1].start()


def serve_async(executor: Executor, concurrency: int) -> None:
    """Run calls as coroutines of one event loop in the main thread until the actor ends."""
    runner = executor.runner or asyncio.Runner()
    with runner:
        runner.run(AsyncCalls(executor, concurrency).serve())


class AsyncCalls:
    """The calls of an async actor: at most *concurrency* at a time, started in order.

    The event loop reads the inbox itself, so that a call wakes one thread; the loop
    thread takes over while a coroutine does not await.
    """

    def __init__(self, executor: Executor, concurrency: int) -> None:
        self._executor = executor
        self._brain = executor.brain
        self._limit = concurrency
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
        queue = brain.queue
        while queue and len(tasks) < self._limit:
            item = queue.popleft()
            if isinstance(item, Item):
                tasks[item.caller, item.seq] = loop.create_task(self._run(item))
        for key in list(brain.cancelled):
            task = tasks.get(key)
            if task is not None:
                task.cancel()
            else:
                brain.cancelled.discard(key)
        if _ended(self._executor):
            self._ended.set()

    async def _run(self, item: Item) -> None:
        executor, brain = self._executor, self._brain
        running.set(item)
        session.cell.set(item.spec.cell)
        started = executor.loop.now()
        key = (item.caller, item.seq)
        brain.enter()
        try:
            result = executor._call(item)
            if type(result) is CoroutineType or inspect.isawaitable(result):
                result = await result
            done = executor.answer(item, result, started)
            executor.note(item, None, started, done)
        except asyncio.CancelledError as error:
            done = executor.failure(item, KeyboardInterrupt("cancelled"), started)
            executor.note(item, error, started, done)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its answer
            done = executor.failure(item, error, started)
            executor.note(item, error, started, done)
        del self._tasks[key]
        brain.leave()
        if brain.cancelled:
            brain.cancelled.discard(key)
        brain.done.append(done)
        if executor.leaving:
            executor.flush()
            self._ended.set()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._executor.flush()
        if self._brain.queue:
            self._start()
