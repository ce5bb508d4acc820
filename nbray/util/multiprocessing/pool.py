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
from typing import Any, NoReturn, Self

from nbray import arguments, session
from nbray.api import cluster_resources, get, init, is_initialized, kill, wait
from nbray.ids import OWN_CELL
from nbray.refs import ObjectRef
from nbray.util.call_batch import Carried, Form, PoolActorClass, carried
from nbray.util.multiprocessing.results import (
    AsyncResult,
    IMapIterator,
    OrderedIMapIterator,
    UnorderedIMapIterator,
)

__all__ = ["AsyncResult", "IMapIterator", "OrderedIMapIterator", "Pool", "UnorderedIMapIterator"]

BATCHES = 4
"""Batches for each process where nobody says how large they are."""


class PoolProcess:
    """One actor of a pool."""

    __slots__ = ("actor", "batches", "last", "told", "waiting")

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.told: set[str] = set()
        """Files of whose source it knows."""
        self.last: ObjectRef[Any] | None = None
        """The last thing it was given, once it is to get no more."""
        self.batches = 0
        """How many it was given."""
        self.waiting: collections.deque[weakref.ref[ObjectRef[Any]]] = collections.deque()
        """What it was given and may not have ended; not held, for results may be large."""


class Batches:
    """How the calls of one function are sent: in batches, each under the function's name."""

    def __init__(
        self, pool: Pool, function: Callable[..., Any], form: Form,
        shown: Callable[..., Any] | None = None,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._form = form
        self._function, self._large = carried(function, shown)

    def replace(self, ref: ObjectRef[Any]) -> None:
        """The actor that was to make *ref* has died."""
        self._pool._replace(ref)

    def submit(self, calls: Sequence[Any]) -> ObjectRef[Any]:
        """Send one; the reference is of a list of results (see `PoolActor.run_batch`)."""
        return self._pool._submit(self._function, (self._large, calls, self._form))


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
        self._lock = threading.Lock()
        self._turn = 0
        self._most = maxtasksperchild or 0
        self._ending: list[PoolProcess] = []
        """Those that end when they have done what they were given."""
        kind = PoolActorClass
        if ray_remote_args:
            kind = kind.options(**ray_remote_args)
        started = tuple(initargs or ())
        self._make: Callable[[], PoolProcess] = lambda: PoolProcess(
            kind.remote(initializer, started)
        )
        self._processes = [self._make() for _ in range(count)]
        self._closed = False
        token = session.cell.set(OWN_CELL)  # nobody's work
        try:
            answers = [one.actor.ping.remote() for one in self._processes]
        finally:
            session.cell.reset(token)
        get(answers)

    # -- who gets what -------------------------------------------------------------

    def _submit(self, function: Carried, args: tuple[Any, ...]) -> ObjectRef[Any]:
        with self._lock:
            at = self._least_busy()
            process = self._processes[at]
            run = process.actor.run_batch.options(name=function.name)
            ref: ObjectRef[Any] = run.remote(function.to(process.told), *args)
            process.waiting.append(weakref.ref(ref))
            process.batches += 1
            if process.batches == self._most:
                self._end(process)
                self._processes[at] = self._make()
        return ref

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

    def _replace(self, ref: ObjectRef[Any]) -> None:
        """The actor that was to make *ref* has died: another one takes its place."""
        with self._lock:
            if self._closed:
                return
            for at, process in enumerate(self._processes):
                if any(one() is ref for one in process.waiting):
                    self._processes[at] = self._make()

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
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """`func(*args, **kwargs)` in one of the processes; waits for its result."""
        return self.apply_async(func, args, kwargs).get()

    def apply_async(
        self, func: Callable[..., Any], args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:  # fmt: skip
        """Start `func(*args, **kwargs)` in one of the processes.

        Args:
            callback: called here with the result, in a thread of its own.
            error_callback: the same with what *func* raised.

        Raises:
            ValueError: the pool is closed; so do all that start work.
        """
        self._check_running()
        batches = Batches(self, func, "full")
        ref = batches.submit([(tuple(args or ()), dict(kwargs or {}))])
        return AsyncResult(self._replace, [ref], callback, error_callback, single=True)

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
        return OrderedIMapIterator(*self._lazily(func, iterable, chunksize))

    def imap_unordered(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> UnorderedIMapIterator:
        """An iterator over the results as they come; *iterable* is read as they are taken."""
        return UnorderedIMapIterator(*self._lazily(func, iterable, chunksize))

    def _map(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None,
        form: Form, callback: Any = None, error_callback: Any = None,
    ) -> AsyncResult:  # fmt: skip
        self._check_running()
        items = iterable if isinstance(iterable, (list, tuple, range)) else list(iterable)
        size = self._chunk_size(len(items)) if chunksize is None else _checked(chunksize)
        batches = Batches(self, func, form)
        refs = [batches.submit(items[at : at + size]) for at in range(0, len(items), size)]
        return AsyncResult(self._replace, refs, callback, error_callback)

    def _lazily(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None
    ) -> tuple[Batches, Iterator[Any], int, int]:
        self._check_running()
        if chunksize is None:
            known = isinstance(iterable, Sized)
            chunksize = self._chunk_size(len(iterable)) if known else 1  # type: ignore[arg-type]
        batches = Batches(self, func, "one")
        return batches, iter(iterable), _checked(chunksize), len(self._processes)

    def _chunk_size(self, items: int) -> int:
        return max(1, -(-items // (len(self._processes) * BATCHES)))

    def _check_running(self) -> None:
        if self._closed:
            raise ValueError("Pool not running")

    # -- its end -------------------------------------------------------------------

    def close(self) -> None:
        """Take no more work; the processes end when they have done what they have."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for process in self._processes:
                self._end(process)

    def terminate(self) -> None:
        """End the processes at once; what they have not done raises `ActorDiedError`."""
        with self._lock:
            self._closed = True
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


def _checked(chunksize: Any) -> int:
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize}")
    return int(chunksize)


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
