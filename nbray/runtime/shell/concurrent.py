"""Actors that do several things at once: `async def` methods, or several threads.

Owns how such an actor's calls overlap. Calls start in the order in which they
came; how they end is up to them.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from nbray import session
from nbray.runtime.core.worker import Item

if TYPE_CHECKING:
    from nbray.runtime.shell.executor import Executor


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
        return bool(brain.done) and time.monotonic() - brain.flushed > FLUSH_SECONDS

    def serve() -> None:
        nonlocal unfinished
        while True:
            try:
                item = waiting.get_nowait()
            except Empty:
                if brain.done:
                    executor.flush()
                item = waiting.get()
            contextvars.copy_context().run(run, item)
            with counting:
                unfinished -= 1
            if late() or executor.output.pending():
                executor.flush()

    def run(item: Item) -> None:
        running.set(item)
        session.cell.set(item.spec.cell)
        with counting:
            brain.concurrent += 1
        started = time.perf_counter()
        try:
            result = executor._call(item)
            done = executor.answer(item, result, started)
            executor.note(item, None, started, done)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its answer
            done = executor.failure(item, error, started)
            executor.note(item, error, started, done)
        with counting:
            brain.concurrent -= 1
        brain.cancelled.discard((item.caller, item.seq))
        brain.done.append(done)
        if executor.leaving:
            executor.flush()
            event.set()
            executor.loop.wake()

    from nbray.runtime.shell.executor import FLUSH_SECONDS, running

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
    asyncio.run(_serve(executor, concurrency))


async def _serve(executor: Executor, concurrency: int) -> None:
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    limit = asyncio.Semaphore(concurrency)
    queue = executor.brain.queue
    tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
    flushing = False

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    def flush() -> None:
        nonlocal flushing
        flushing = False
        executor.flush()

    async def run(item: Item) -> None:
        from nbray.runtime.shell.executor import running

        nonlocal flushing
        running.set(item)
        session.cell.set(item.spec.cell)
        started = time.perf_counter()
        key = (item.caller, item.seq)
        executor.brain.concurrent += 1
        try:
            async with limit:
                result = executor._call(item)
                if inspect.isawaitable(result):
                    result = await result
            done = executor.answer(item, result, started)
            executor.note(item, None, started, done)
        except asyncio.CancelledError as error:
            done = executor.failure(item, KeyboardInterrupt("cancelled"), started)
            executor.note(item, error, started, done)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its answer
            done = executor.failure(item, error, started)
            executor.note(item, error, started, done)
        tasks.pop(key, None)
        executor.brain.concurrent -= 1
        executor.brain.cancelled.discard(key)
        executor.brain.done.append(done)
        if executor.leaving:
            executor.flush()
            news.set()
        elif not flushing:
            flushing = True
            loop.call_soon(flush)

    executor.watch_news(wake)
    try:
        while not _ended(executor):
            while queue:
                item = queue.popleft()
                if isinstance(item, Item):
                    tasks[item.caller, item.seq] = loop.create_task(run(item))
            for key in list(executor.brain.cancelled):
                task = tasks.get(key)
                if task is not None:
                    task.cancel()
                else:
                    executor.brain.cancelled.discard(key)
            await news.wait()
            news.clear()
    finally:
        executor.watch_news(None)
