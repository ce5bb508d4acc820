"""`nbray.util.map`: a function over many items, in chunks that fit how long they take.

Owns what users call and hold. Does not own the work (`map_run`).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Self

import msgspec

from nbray import session
from nbray.config import INLINE_LIMIT
from nbray.definitions import trial
from nbray.options import TaskOptions, integer
from nbray.remote import RemoteFunction, Shape, refuse_generators, short_name, source_of
from nbray.util.chunk_run import Plan
from nbray.util.map_run import Run
from nbray.util.sizes import SECONDS


class Map:
    """The results of a map, as they come: an iterator, also for `async for`.

    `len()` tells how many there will be, where that is known. `cancel()`, the end of a
    `with` block, an interrupt while it waits, and letting go of it all cancel what has
    not ended.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._results: Iterator[Any] = itertools.chain.from_iterable(run)

    def __iter__(self) -> Iterator[Any]:
        # Not self: whoever leaves a loop over it lets go of everything.
        return self._results

    def __next__(self) -> Any:
        return next(self._results)

    def __len__(self) -> int:
        total = self._run.total
        if total is None:
            raise TypeError("how many results there will be is not known before the end")
        return total

    def left(self) -> int:
        """How many items have not ended (of those read so far, where the length is unknown)."""
        return self._run.left()

    def cancel(self) -> int:
        """Cancel all items that have not ended; how many of those were on their way.

        An item that runs is interrupted. Asking for further results raises
        `TaskCancelledError`.
        """
        return self._run.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        run = self._run
        run.waits = False
        if not run.at_hand():
            try:
                await asyncio.to_thread(run.arrive)
            except BaseException:
                run.cancel()
                raise
        try:
            return next(self._results)
        except StopIteration:
            raise StopAsyncIteration from None

    def __repr__(self) -> str:
        of = "" if self._run.total is None else f" of {self._run.total:,}"
        return f"<map of {self._run.name}: {self._run.done:,}{of} done>"


def map(
    fn: Callable[..., Any] | RemoteFunction,
    iterable: Iterable[Any],
    /,
    *more: Iterable[Any],
    ordered: bool = True,
    chunk_seconds: float = SECONDS,
    max_in_flight: int | None = None,
    return_exceptions: bool = False,
) -> Map:
    """`fn(item)` for each item, on the whole cluster: `list(nbray.util.map(fn, items))`.

    Items are sent in chunks that fit how long they take: one by one while they are
    long, thousands at a time while they take microseconds. It begins at once with a
    few and goes on while results are asked for, so *iterable* may be endless.

    Args:
        fn: a function, or a remote function, whose options then hold for each item.
            What it carries is sent once to each worker, or put once if it is large.
            With `max_retries=0` no item shares a chunk, because nothing may run twice.
        iterable, more: where the arguments come from, as for Python's `map`. An
            `ObjectRef` among them is replaced by its value.
        ordered: False gives each result as soon as it is there.
        chunk_seconds: work in one chunk. Results come in steps of about that length.
        max_in_flight: items read ahead of the results handed out, at most (None: 16
            chunks for each worker).
        return_exceptions: give errors as results instead of raising them.

    Returns:
        An iterator over the results that can be cancelled (see `Map`).

    Raises:
        TypeError, ValueError: an argument is of the wrong kind or out of range.
        RayTaskError: while iterating, at the place of an item for which *fn* raised;
            also an instance of what it raised, with a note of the item. The next
            result can be asked for as if nothing had happened.
        WorkerCrashedError: likewise, for an item that ended its worker.
        TaskCancelledError: while iterating, after it was cancelled.
    """
    _check(chunk_seconds, max_in_flight)
    if isinstance(fn, RemoteFunction):
        call, options = fn._function, fn._options
        name, source = fn._target.name, fn._target.source
    else:
        if hasattr(fn, "remote") or not callable(fn):
            raise TypeError(
                f"map() takes a function or a remote function, not {type(fn).__name__} "
                "(for actors there is nbray.util.ActorPool)"
            )
        call, options = fn, TaskOptions()
        plain = fn
        while isinstance(plain, functools.partial):
            plain = plain.func
        refuse_generators(plain)
        name, source = short_name(plain), source_of(plain)
    iterables = (iterable, *more)
    Shape(call, name).check((None,) * len(iterables), {})
    sized = [len(one) if isinstance(one, Sized) else None for one in iterables]
    known = [size for size in sized if size is not None]
    lists = [one for one in iterables if isinstance(one, (list, tuple))]
    engine = session.current() or session.require(call, lists)
    large = [engine.put(call)] if _is_large(call) else []
    plan = Plan(
        None if large else call,
        name,
        width=len(iterables),
        retries=options.max_retries,
        retry_on=options.retry_exceptions,
        filename=getattr(getattr(inspect.unwrap(call), "__code__", None), "co_filename", ""),
        source=source,
    )
    run = Run(
        plan,
        large,
        msgspec.structs.replace(options, num_returns=2, retry_exceptions=False, counted=False),
        zip(*iterables, strict=False) if more else iterable,
        min(known) if len(known) == len(sized) else None,
        seconds=chunk_seconds,
        ordered=ordered,
        max_in_flight=max_in_flight,
        return_exceptions=return_exceptions,
    )
    return Map(run)


def _check(chunk_seconds: Any, max_in_flight: Any) -> None:
    if isinstance(chunk_seconds, bool) or not isinstance(chunk_seconds, (int, float)):
        kind = type(chunk_seconds).__name__
        raise TypeError(f"chunk_seconds must be a number of seconds, not {kind}")
    if not 0 < chunk_seconds < float("inf"):
        raise ValueError(f"chunk_seconds must be more than 0, not {chunk_seconds}")
    if max_in_flight is not None:
        integer(1)("max_in_flight", max_in_flight)


def _is_large(call: Any) -> bool:
    """Whether *call* carries so much that it should be stored once."""
    try:
        return trial(call) > INLINE_LIMIT
    except Exception:  # noqa: BLE001 - the engine can pickle it, or says what stands in the way
        return False
