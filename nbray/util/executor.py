"""`Executor`: the interface of `concurrent.futures.Executor`, on the whole cluster.

Owns what waits here, which process is idle, and the futures. Does not own what a process
does with a call (`call_batch`).

Rule: a call waits here until a process is free, and can be cancelled until then; so a
process never has more than one.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import contextvars
import functools
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any

from nbray import session
from nbray.api import cluster_resources
from nbray.exceptions import ActorDiedError, RaySystemError
from nbray.ids import OWN_CELL
from nbray.refs import ObjectRef
from nbray.util.call_batch import FailedCall, Form, PoolActorClass, carried, original

__all__ = ["BrokenExecutor", "Executor"]

BrokenExecutor = futures.BrokenExecutor
UNMADE = ("could not be made", "its __init__ raised")
"""What an actor's error says whose `__init__` failed, by engine."""


class ExecutorFuture(futures.Future[Any]):
    """A future whose waits show bars."""

    def result(self, timeout: float | None = None) -> Any:
        """As every future's."""
        with _watched(self):
            return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As every future's."""
        with _watched(self):
            return super().exception(timeout)


def _watched(future: futures.Future[Any]) -> contextlib.AbstractContextManager[Any]:
    watcher = session.watcher()
    return contextlib.nullcontext() if watcher is None or future.done() else watcher()


class _Call:
    """One call, or several that go together."""

    __slots__ = ("calls", "context", "counted", "form", "function", "future")

    def __init__(self, function: Callable[..., Any], calls: list[Any], form: Form) -> None:
        self.function: Callable[..., Any] | None = function
        self.calls = calls
        self.form = form
        self.future = ExecutorFuture()
        self.context: contextvars.Context | None = contextvars.copy_context()
        """With it the cell, and whether it was stopped."""
        self.counted = ""
        """The cell whose bars count it as waiting."""

    def let_go(self) -> None:
        """It is over: nothing that it was given is held."""
        self.function = self.context = None
        self.calls = []

    def settle(self, results: list[Any]) -> None:
        """The process has answered."""
        failed = next((one for one in results if isinstance(one, FailedCall)), None)
        if failed is not None:
            self.future.set_exception(failed.error())
        else:
            self.future.set_result(results[0] if self.form == "full" else results)


class Executor(futures.Executor):
    """Calls functions in processes on the cluster: `with Executor() as e: e.submit(f, 1)`.

    Futures are those of `concurrent.futures`, and all that takes those works:
    `as_completed`, `wait`, `asyncio`'s `run_in_executor`.

    Args:
        max_workers: processes, at most (None: as many as the cluster has CPUs); they are
            started as there is work for them.
        initializer, initargs: called in each process as it starts.
        ray_remote_args: options of the actors: `{"num_cpus": 1}` (by default they hold none).

    Raises:
        ValueError, TypeError: an argument is out of range or of the wrong kind.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        *,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        self._engine = session.require()
        self._most = max_workers or max(1, int(cluster_resources().get("CPU", 1)))
        kind = PoolActorClass.options(**ray_remote_args) if ray_remote_args else PoolActorClass
        self._make = functools.partial(kind.remote, initializer, tuple(initargs))
        self._lock = threading.RLock()
        self._waiting: collections.deque[_Call] = collections.deque()
        self._idle: list[Any] = []
        self._told: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()
        """Files of whose source each process knows."""
        self._running: set[futures.Future[Any]] = set()
        self._processes = 0
        self._closed = False
        self._broken: BaseException | None = None
        _open.add(self)
        atexit.unregister(_finish)
        atexit.register(_finish)  # again, for it must run before nbray's own

    # -- work in -------------------------------------------------------------------

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """Call `fn(*args, **kwargs)` in a process.

        What *fn* raised is raised by the future's `result`, as it was, caused by a
        `RayTaskError`; so is what stands in the way of pickling. A process that dies
        raises `ActorDiedError` there, and is replaced.

        Raises:
            RuntimeError: it was shut down.
            BrokenExecutor: the initializer failed, or the cluster has ended.
        """
        return self._enqueue(_Call(fn, [(args, kwargs)], "full"))

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:  # fmt: skip
        """The results of `fn` for each of *iterables*' items, in order; submitted at once.

        Args:
            timeout: seconds from this call after which the next result raises `TimeoutError`.
            chunksize: items that go together.

        Raises:
            ValueError: *chunksize* is less than 1.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        source = zip(*iterables, strict=False)
        chunks = iter(lambda: list(itertools.islice(source, chunksize)), [])
        calls = [_Call(fn, chunk, "star") for chunk in chunks]
        until = None if timeout is None else time.monotonic() + timeout
        return _results([self._enqueue(call) for call in calls], until)

    def _enqueue(self, call: _Call) -> futures.Future[Any]:
        with self._lock:
            self._check()
            self._waiting.append(call)
            self._dispatch()
            if call.future not in self._running and not call.future.done():
                call.counted = session.cell.get()
                self._count(call, 1)
        return call.future

    def _check(self) -> None:
        if self._broken is not None:
            raise _broken_by(self._broken)
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if self._engine.ended:
            raise BrokenExecutor(f"the cluster has ended: {self._engine.ended}")

    def _count(self, call: _Call, by: int) -> None:
        with contextlib.suppress(RaySystemError):  # the cluster has ended
            self._engine.cells.count(call.counted, by)

    def _dispatch(self) -> None:
        """Hand out what waits; start processes for what is left. Under the lock."""
        while self._waiting and self._idle:
            self._send(self._waiting.popleft(), self._idle.pop())
        while self._waiting and self._processes < self._most:
            self._send(self._waiting.popleft(), self._start())

    def _start(self) -> Any:
        self._processes += 1
        token = session.cell.set(OWN_CELL)  # nobody's work
        try:
            actor = self._make()
            ready = actor.ping.remote()
        finally:
            session.cell.reset(token)
        ready.future().add_done_callback(self._started)
        return actor

    def _started(self, ready: futures.Future[Any]) -> None:
        error = ready.exception()
        # One that died in its first call may not have answered: that breaks nothing.
        if error is None:
            return
        if not isinstance(error, ActorDiedError) or any(one in str(error) for one in UNMADE):
            self._break(error)

    def _break(self, error: BaseException) -> None:
        with self._lock:
            self._broken = error
            lost = list(self._waiting)
            self._waiting.clear()
            self._idle.clear()
        for call in lost:
            if call.counted:
                self._count(call, -1)
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(_broken_by(error))

    # -- results out ---------------------------------------------------------------

    def _send(self, call: _Call, actor: Any) -> None:
        """Under the lock."""
        if call.counted:
            self._count(call, -1)
        assert call.context is not None
        run = call.context.get(session.run)
        if run is not None and run.stopped:
            call.future.cancel()
        if not call.future.set_running_or_notify_cancel():
            self._idle.append(actor)
            return
        self._running.add(call.future)
        try:
            ref = call.context.run(_sent, call, actor, self._told.setdefault(actor, set()))
        except Exception as error:  # noqa: BLE001 - users' items raise what they like when pickled
            self._running.discard(call.future)
            self._idle.append(actor)
            call.future.set_exception(error)
            return
        ref.future().add_done_callback(functools.partial(self._came, call, actor))

    def _came(self, call: _Call, actor: Any, answer: futures.Future[Any]) -> None:
        error = answer.exception()
        with self._lock:
            if isinstance(error, ActorDiedError):
                self._processes -= 1  # another one starts when there is work for it
            elif self._broken is None:
                self._idle.append(actor)
        if self._engine.ended:
            self._break(RaySystemError(f"the cluster has ended: {self._engine.ended}"))
        if error is not None and self._broken is not None:
            call.future.set_exception(_broken_by(self._broken))
        elif error is not None:
            call.future.set_exception(original(error))
        else:
            call.settle(answer.result())
        call.let_go()
        with self._lock:
            self._running.discard(call.future)
            self._dispatch()
            self._let_go()

    def _let_go(self) -> None:
        """Once it is shut down, processes end with their work. Under the lock."""
        if self._closed and not self._waiting:
            self._idle.clear()

    # -- its end -------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; processes end when they have done what was submitted.

        Args:
            wait: until all of it is done.
            cancel_futures: cancel what no process has yet.
        """
        with self._lock:
            self._closed = True
            waiting = list(self._waiting)
            if cancel_futures:
                self._waiting.clear()
            left = {*self._running, *(call.future for call in self._waiting)}
            self._let_go()
        if cancel_futures:
            for call in waiting:
                call.future.cancel()
                if call.counted:
                    self._count(call, -1)
        if wait and left:
            watcher = session.watcher()
            with watcher() if watcher is not None else contextlib.nullcontext():
                futures.wait(left)


def _results(pending: list[futures.Future[Any]], until: float | None) -> Iterator[Any]:
    """What *pending* give, in order; whoever stops asking cancels the rest."""
    pending.reverse()
    watcher = session.watcher()
    watched: Any = None
    try:
        while pending:
            if watched is None and watcher is not None and not pending[-1].done():
                watched = watcher()  # bars, if the loop takes long: one wait from here to its end
                watched.__enter__()
            left = None if until is None else until - time.monotonic()
            results = futures.Future.result(pending.pop(), left)
            results.reverse()
            while results:
                yield results.pop()  # held by nobody else
    finally:
        for future in pending:
            future.cancel()
        if watched is not None:
            watched.__exit__(None, None, None)


def _broken_by(error: BaseException) -> BrokenExecutor:
    ended = isinstance(error, RaySystemError)
    broken = BrokenExecutor(
        str(error) if ended else f"no process of the executor could be started: {error}"
    )
    broken.__cause__ = error
    return broken


def _sent(call: _Call, actor: Any, told: set[str]) -> ObjectRef[Any]:
    assert call.function is not None
    function, large = carried(call.function)
    run = actor.run_batch.options(name=function.name)
    ref: ObjectRef[Any] = run.remote(function.to(told), large, call.calls, call.form)
    return ref


_open: weakref.WeakSet[Executor] = weakref.WeakSet()


def _finish() -> None:
    """What was submitted is done before the interpreter ends, as with the standard library's."""
    for executor in list(_open):
        if session.current() is executor._engine:
            executor.shutdown()
