"""`Pool`: the interface of `multiprocessing.Pool`, whose processes are actors (as in Ray).

Owns the actors, which of them gets the next batch, and their end. Does not own results
(`results`) nor what an actor does with a batch (`call_batch`).

Rule: a batch goes to the actor that has fewest before it, so that none waits behind a
long one while another actor is idle.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from nbray import arguments, session
from nbray.api import cluster_resources, get, init, is_initialized, kill, wait
from nbray.engine import Engine
from nbray.exceptions import RayError
from nbray.ids import OWN_CELL
from nbray.refs import ObjectRef
from nbray.util.call_batch import Carried, Ends, Form, PoolActorClass, send
from nbray.util.multiprocessing.batches import Batches
from nbray.util.multiprocessing.results import (
    AsyncResult,
    IMapIterator,
    OrderedIMapIterator,
    UnorderedIMapIterator,
)

__all__ = ["AsyncResult", "IMapIterator", "OrderedIMapIterator", "Pool", "UnorderedIMapIterator"]

Results = TypeVar("Results", bound=IMapIterator)
BATCHES = 4
"""Batches for each process where nobody says how large they are."""


class PoolProcess:
    """One actor of a pool."""

    __slots__ = (
        "_engine", "_node", "actor", "batches", "last", "ready", "run", "told", "waiting",
    )  # fmt: skip

    def __init__(self, engine: Engine, actor: Any) -> None:
        self._engine = engine
        self._node: str | None = None
        self.actor = actor
        self.ready: ObjectRef[str] = asked(actor.ping)
        """Is there as soon as the actor is."""
        self.told: set[str] = set()
        """Files of whose source it knows."""
        self.last: ObjectRef[Any] | None = None
        """The last thing it was given, once it is to get no more."""
        self.run: session.Run | None = None
        """On whose behalf it was given something last."""
        self.batches = 0
        """How many it was given."""
        self.waiting: collections.deque[weakref.ref[ObjectRef[Any]]] = collections.deque()
        """What it was given and may not have ended; not held, for results may be large."""

    def node(self) -> str:
        """The id of its node, once it has made a call ('' if it has died before)."""
        if self._node is None:
            try:
                (self._node,) = self._engine.get([self.ready], None)
            except RayError:
                self._node = ""
        return self._node


class Pool:
    """Processes on the whole cluster that functions are called in, as `multiprocessing.Pool`.

    Args:
        processes: how many (None: as many as the cluster has CPUs). If nbray does not run
            yet, it is started with so many CPUs.
        initializer, initargs: called in each process as it starts.
        maxtasksperchild: a process that was given so many batches makes room for a new one.
        context: no effect; there for the standard library's sake.
        ray_address: the cluster to attach to if nbray does not run (None: as `init`).
        ray_remote_args: options of the actors: `{"num_cpus": 1}` (by default they hold none).

    Raises:
        ValueError: less than one process, or more than the cluster has CPUs.
        TypeError: *initializer* cannot be called.
        ActorDiedError: *initializer* raised.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] | None = None,
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        self._closed = True  # until it has begun
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if maxtasksperchild is not None and maxtasksperchild < 0:
            raise ValueError("maxtasksperchild must be a positive int or None")
        if context is not None:
            warnings.warn(
                "the pool's processes are actors, however they start: context has no effect",
                RuntimeWarning,
                stacklevel=2,
            )
        count = _attach(processes, ray_address)
        self._engine = session.require()
        self._ends = Ends(self._engine)
        self._lock = threading.Lock()
        self._turn = 0
        self._most = maxtasksperchild or 0
        self._ending: list[PoolProcess] = []
        """Those that end when they have done what they were given."""
        self._terminated = False
        self._reading: weakref.WeakSet[IMapIterator] = weakref.WeakSet()
        """Whose items have not all been read."""
        kind = PoolActorClass
        if ray_remote_args:
            kind = kind.options(**ray_remote_args)
        started = tuple(initargs or ())
        engine = self._engine
        self._make: Callable[[], PoolProcess] = lambda: PoolProcess(
            engine, kind.remote(initializer, started)
        )
        self._processes = [self._make() for _ in range(count)]
        self._closed = False
        get([one.ready for one in self._processes])

    # -- who gets what -------------------------------------------------------------

    def _send(
        self, function: Carried, large: list[ObjectRef[Any]], calls: Sequence[Any], form: Form,
        items: int,
    ) -> tuple[ObjectRef[Any], Callable[[], str]]:  # fmt: skip
        """Give calls to a process (see `Sends._send`)."""
        with self._lock:
            at = self._least_busy()
            process = self._processes[at]
            if process.actor is None:
                raise ValueError("Pool not running")
            if self._engine.actors.ended(process.actor._info) or _stopped(process):
                process = self._processes[at] = self._make()
            process.run = session.run.get()
            ref = send(process.actor, function.to(process.told), large, calls, form, items)
            process.waiting.append(weakref.ref(ref))
            process.batches += 1
            if process.batches == self._most:
                self._end(process)
                self._processes[at] = self._make()
        return ref, process.node

    def _least_busy(self) -> int:
        count = len(self._processes)
        order = [(self._turn + step) % count for step in range(count)]
        at = next((n for n in order if not self._processes[n].waiting), None)
        if at is None:
            for process in self._processes:
                _forget_ended(process)
            at = min(order, key=lambda n: len(self._processes[n].waiting))
        self._turn = at + 1
        return at

    def _end(self, process: PoolProcess) -> None:
        """Let go of the actor when it has done what it was given: then it ends."""
        _forget_ended(process)
        last = process.waiting[-1]() if process.waiting else None
        if last is None:
            process.actor = None
            return
        process.last = last
        self._ending.append(process)

        def ended(_future: Any) -> None:
            process.actor = process.last = None
            with contextlib.suppress(ValueError):  # `terminate` was quicker
                self._ending.remove(process)

        last.future().add_done_callback(ended)

    # -- calls ---------------------------------------------------------------------

    def apply(
        self, func: Callable[..., Any], args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None, *, kwds: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """`func(*args, **kwargs)` in one of the processes; waits for its result."""
        return self.apply_async(func, args, kwargs, kwds=kwds).get()

    def apply_async(
        self, func: Callable[..., Any], args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        *, kwds: dict[str, Any] | None = None,
    ) -> AsyncResult:  # fmt: skip
        """Start `func(*args, **kwargs)` in one of the processes.

        Args:
            kwds: *kwargs*, as the standard library calls it.
            callback: called here with the result, in a thread of its own.
            error_callback: the same with what *func* raised.

        Raises:
            ValueError: the pool is closed; so do all that start work.
        """
        self._check_running()
        batches = Batches(self, func, "full")
        batch = batches.submit([(tuple(args or ()), dict(kwargs or kwds or {}))])
        return AsyncResult([batch], callback, error_callback, single=True)

    def map(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None
    ) -> list[Any]:
        """`[func(item) for item in iterable]`, shared out in batches of *chunksize* items.

        Raises:
            Exception: what *func* raised for the first item that it failed for, when all
                have ended. A process that dies raises `ActorDiedError`.
        """
        result: list[Any] = self._map(func, iterable, chunksize, "one").get()
        return result

    def map_async(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:  # fmt: skip
        """Start a `map`; *callback* gets the list, *error_callback* the first error."""
        return self._map(func, iterable, chunksize, "one", callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[Any]:  # fmt: skip
        """`map` with several arguments: `[func(*args) for args in iterable]`."""
        result: list[Any] = self._map(func, iterable, chunksize, "star").get()
        return result

    def starmap_async(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], *others: Any,
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:  # fmt: skip
        """Start a `starmap`.

        What follows by position is read in Ray's order (callback, error_callback) where the
        first can be called, else in the standard library's (chunksize first).
        """
        if others:
            if not callable(others[0]):
                chunksize, others = others[0], others[1:]
            callback, error_callback, *more = (*others, callback, error_callback)[:3]
            if len(others) > 2 or (more and others[1:] and error_callback is None):
                raise TypeError("starmap_async() was given too many arguments")
        return self._map(func, iterable, chunksize, "star", callback, error_callback)

    def imap(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> OrderedIMapIterator:
        """An iterator over the results, in order; *iterable* is read as they are taken."""
        return self._reads(OrderedIMapIterator(*self._lazily(func, iterable, chunksize)))

    def imap_unordered(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> UnorderedIMapIterator:
        """An iterator over the results as they come; *iterable* is read as they are taken."""
        return self._reads(UnorderedIMapIterator(*self._lazily(func, iterable, chunksize)))

    def _map(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None,
        form: Form, callback: Any = None, error_callback: Any = None,
    ) -> AsyncResult:  # fmt: skip
        self._check_running()
        items = iterable if isinstance(iterable, (list, tuple, range)) else list(iterable)
        size = self._chunk_size(len(items)) if chunksize is None else _checked(chunksize)
        batches = Batches(self, func, form)
        sent = [batches.submit(items[at : at + size]) for at in range(0, len(items), size)]
        return AsyncResult(sent, callback, error_callback)

    def _lazily(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None
    ) -> tuple[Batches, Iterator[Any], int, int, Callable[[Any], None]]:
        self._check_running()
        if chunksize is None:
            known = isinstance(iterable, Sized)
            chunksize = self._chunk_size(len(iterable)) if known else 1  # type: ignore[arg-type]
        batches = Batches(self, func, "one")
        size = _checked(chunksize)
        return batches, iter(iterable), size, len(self._processes), self._has_read

    def _reads(self, results: Results) -> Results:
        if not results.exhausted:
            self._reading.add(results)
        return results

    def _has_read(self, results: IMapIterator) -> None:
        self._reading.discard(results)
        with self._lock:
            self._end_all()

    def _chunk_size(self, items: int) -> int:
        return max(1, -(-items // (len(self._processes) * BATCHES)))

    def _check_running(self) -> None:
        if self._closed:
            raise ValueError("Pool not running")

    # -- its end -------------------------------------------------------------------

    def close(self) -> None:
        """Take no more work; the processes end when they have done what they have.

        What `imap` has begun goes on, and is read to its end by `join`.
        """
        with self._lock:
            self._closed = True
            self._end_all()

    def _end_all(self) -> None:
        """End the processes of a closed pool, once nobody reads items for them. Under the lock."""
        if self._closed and not self._reading:
            for process in self._processes:
                if process.actor is not None and process.last is None:
                    self._end(process)

    def terminate(self) -> None:
        """End the processes at once; what they have not done raises `ActorDiedError`."""
        with self._lock:
            self._closed = self._terminated = True
            for process in (*self._processes, *self._ending):
                actor, process.actor = process.actor, None
                if actor is not None:
                    kill(actor)
            self._ending.clear()

    def join(self) -> None:
        """Wait until the processes of a closed pool have ended.

        Raises:
            ValueError: it is not closed.
        """
        if not self._closed:
            raise ValueError("Pool is still running")
        for results in list(self._reading):
            results.send_all()
        refs = [last for one in list(self._ending) if (last := one.last) is not None]
        if refs:
            wait(refs, num_returns=len(refs), fetch_local=False)

    def __enter__(self) -> Self:
        self._check_running()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.terminate()

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled"
        )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "running"
        return f"<{type(self).__name__} of {len(self._processes)} processes, {state}>"


def _attach(processes: int | None, address: str | None) -> int:
    """How many processes a pool has; nbray runs then."""
    if processes is not None and processes < 1:
        raise ValueError("Processes in the pool must be >0.")
    if not is_initialized():
        where = arguments.address(address)
        if where in {"", "local"}:
            init(address=where or None, num_cpus=processes)
        else:
            init(address=where)
    cpus = int(cluster_resources().get("CPU", 0))
    if processes is None:
        processes = max(1, cpus)
    if processes > cpus:
        raise ValueError(
            f"Tried to start a pool with {processes} processes on an existing ray cluster, but "
            f"there are only {cpus} CPUs in the ray cluster."
        )
    return processes


def asked(method: Any) -> ObjectRef[Any]:
    """The answer of an actor's method, which is nobody's work: screens leave it out."""
    token = session.cell.set(OWN_CELL)
    try:
        ref: ObjectRef[Any] = method.remote()
    finally:
        session.cell.reset(token)
    return ref


def _checked(chunksize: Any) -> int:
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize}")
    return int(chunksize)


def _stopped(process: PoolProcess) -> bool:
    """Whether it is still busy with what Stop has ended: then it may be killed for that."""
    if not session.halted or process.run is None or not process.run.stopped:
        return False
    _forget_ended(process)
    return bool(process.waiting)


def _forget_ended(process: PoolProcess) -> None:
    """Drop from the front of what *process* has what has ended: it works in order."""
    waiting = process.waiting
    alive = [ref for one in waiting if (ref := one()) is not None]
    ended: set[Any] = set()
    if alive:
        ready, _ = session.require().wait(alive, len(alive), 0, False)
        ended = set(ready)
    left = (weakref.ref(ref) for ref in alive if ref not in ended)
    process.waiting = collections.deque(left)
