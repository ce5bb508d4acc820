"""`Executor`: the interface of `concurrent.futures.Executor`, on the whole cluster.

Owns what waits here and which process is idle. Does not own what a process does with a call
(`call_batch`), nor how waiting for a future is shown (`executor_futures`).

Rule: a call waits here until a process is free, and can be cancelled until then; so a
process never has more than one.
"""

from __future__ import annotations

import atexit
import collections
import contextvars
import functools
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from nbray import session
from nbray.api import cluster_resources
from nbray.exceptions import ActorDiedError, RaySystemError, TaskCancelledError
from nbray.ids import OWN_CELL
from nbray.refs import ObjectRef
from nbray.util.call_batch import Ends, FailedCall, Form, PoolActorClass, carried, original, send
from nbray.util.executor_futures import ExecutorFuture

__all__ = ["BrokenExecutor", "Executor", "ProcessDiedError"]

BrokenExecutor = futures.BrokenExecutor
UNMADE = ("could not be made", "its __init__ raised")
"""What an actor's error says whose `__init__` failed, by engine."""


class ProcessDiedError(ActorDiedError, BrokenProcessPool):
    """The process that made the call has died; another one has taken its place."""


class _Process:
    """One actor of an executor."""

    __slots__ = ("actor", "node", "told")

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.node = ""
        """The id of its node, once it has started."""
        self.told: set[str] = set()
        """Files of whose source it knows."""


class _Call:
    """One call, or several that go together."""

    __slots__ = ("calls", "cell", "context", "counted", "form", "function", "future", "items")

    def __init__(self, function: Callable[..., Any], calls: list[Any], form: Form) -> None:
        self.function: Callable[..., Any] | None = function
        self.calls = calls
        self.items = len(calls)
        self.form = form
        self.future = ExecutorFuture()
        self.context: contextvars.Context | None = contextvars.copy_context()
        """With it the cell, and whether it was stopped."""
        self.cell = session.cell.get()
        """The cell whose bars count it."""
        self.counted = False
        """They do so now."""

    def let_go(self) -> None:
        """It is over: nothing that it was given is held."""
        self.function = self.context = None
        self.calls = []

    def settle(self, results: list[Any]) -> None:
        """The process has answered."""
        failed = next((one for one in results if type(one) is FailedCall), None)
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
        self._ends = Ends(self._engine)
        self._idle: list[_Process] = []
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
        raises `ProcessDiedError` there, an `ActorDiedError` and a `BrokenProcessPool`, and
        is replaced.

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
            if call.items > 1:
                self._count(call)
            self._waiting.append(call)
            self._dispatch()
            if call.future not in self._running and not call.future.done() and not call.counted:
                self._count(call)
        return call.future

    def _check(self) -> None:
        if self._broken is not None:
            raise _broken_by(self._broken)
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if self._engine.ended:
            raise BrokenExecutor(f"the cluster has ended: {self._engine.ended}")

    def _count(self, call: _Call) -> None:
        call.counted = True
        self._ends.expect(call.cell, call.items)

    def _uncount(self, call: _Call) -> None:
        if call.counted:
            call.counted = False
            self._ends.expect(call.cell, -call.items)

    def _cancelled(self, call: _Call) -> None:
        """Nobody has made it, nor will."""
        if call.counted:
            call.counted = False
            self._ends.came(call.cell, "", call.items, TaskCancelledError(""), ())

    def _dispatch(self) -> None:
        """Hand out what waits; start processes for what is left. Under the lock."""
        while self._waiting and self._idle:
            self._send(self._waiting.popleft(), self._idle.pop())
        while self._waiting and self._processes < self._most:
            self._send(self._waiting.popleft(), self._start())

    def _start(self) -> _Process:
        self._processes += 1
        token = session.cell.set(OWN_CELL)  # nobody's work
        try:
            process = _Process(self._make())
            ready = process.actor.ping.remote()
        finally:
            session.cell.reset(token)
        ready.future().add_done_callback(functools.partial(self._started, process))
        return process

    def _started(self, process: _Process, ready: futures.Future[Any]) -> None:
        error = ready.exception()
        # One that died in its first call may not have answered: that breaks nothing.
        if error is None:
            process.node = ready.result()
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
            self._uncount(call)
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(_broken_by(error))

    # -- results out ---------------------------------------------------------------

    def _send(self, call: _Call, process: _Process) -> None:
        """Under the lock."""
        assert call.context is not None
        run = call.context.get(session.run)
        if run is not None and run.stopped:
            call.future.cancel()
        if not call.future.set_running_or_notify_cancel():
            self._cancelled(call)
            self._idle.append(process)
            return
        if call.items == 1:
            self._uncount(call)
        self._running.add(call.future)
        try:
            ref = call.context.run(_sent, call, process)
        except BaseException as error:
            self._running.discard(call.future)
            self._idle.append(process)
            self._uncount(call)
            call.future.set_exception(error)
            if isinstance(error, KeyboardInterrupt):
                raise
            return
        ref.future().add_done_callback(functools.partial(self._came, call, process))

    def _came(self, call: _Call, process: _Process, answer: futures.Future[Any]) -> None:
        error = answer.exception()
        if call.counted:
            values = () if error is not None else answer.result()
            self._ends.came(call.cell, process.node, call.items, error, values)
        with self._lock:
            if isinstance(error, ActorDiedError):
                self._processes -= 1  # another one starts when there is work for it
            elif self._broken is None:
                self._idle.append(process)
        if self._engine.ended:
            self._break(RaySystemError(f"the cluster has ended: {self._engine.ended}"))
        if error is not None and self._broken is not None:
            call.future.set_exception(_broken_by(self._broken))
        elif isinstance(error, ActorDiedError):
            call.future.set_exception(ProcessDiedError(str(error)))
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
                self._cancelled(call)
                call.future.cancel()
                call.future.set_running_or_notify_cancel()  # who waits for it is told
        if wait and left:
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


def _broken_by(error: BaseException) -> BrokenProcessPool:
    ended = isinstance(error, RaySystemError)
    broken = BrokenProcessPool(
        str(error) if ended else f"no process of the executor could be started: {error}"
    )
    broken.__cause__ = error
    return broken


def _sent(call: _Call, process: _Process) -> ObjectRef[Any]:
    assert call.function is not None
    function, large = carried(call.function)
    told = function.to(process.told)
    return send(process.actor, told, large, call.calls, call.form, call.items)


_open: weakref.WeakSet[Executor] = weakref.WeakSet()


def _finish() -> None:
    """What was submitted is done before the interpreter ends, as with the standard library's."""
    for executor in list(_open):
        if session.current() is executor._engine:
            executor.shutdown()
