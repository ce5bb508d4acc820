"""What a worker does with one chunk of a map: its items one after the other, and a report.

Owns the running of a chunk, the retries and errors of single items, and the
hand-over of what was not begun in time. Does not own sizes (`sizes`) nor what
becomes of a report (`mapping`).

Rule: items are taken from one iterator, by single operations. So the watch,
from its own thread, takes away what has not been begun without a lock, and the
loop over the items runs at the speed of C.
"""

from __future__ import annotations

import functools
import itertools
import linecache
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from nbray import session
from nbray.definitions import remember_source
from nbray.exceptions import RayError
from nbray.options import RetryOn
from nbray.refs import ObjectRef
from nbray.wire.failures import pack_error, unpack_error

__all__ = [
    "Plan", "Report", "brief", "pack_error", "run_chunk", "unpack_error", "weight",
]  # fmt: skip

LOOKS = 3
"""How often the watch looks at a chunk within its patience."""


class Plan(msgspec.Struct, frozen=True):
    """What all chunks of one map have in common; travels once to each worker."""

    call: Callable[..., Any] | None
    """None: it is large, and comes as the first of the references with each chunk."""
    name: str
    width: int = 1
    """Arguments of one call."""
    retries: int = 0
    """How often an item is tried again after an error of `retry_on` (-1: without end)."""
    retry_on: RetryOn = False
    patience: float = float("inf")
    """Seconds after which a chunk gives back the items it has not begun."""
    filename: str = ""
    source: str = ""
    """Where the function was defined if that is no file, for tracebacks."""
    noted: bool = True
    """Errors get a note that names the item."""


class Report(msgspec.Struct, frozen=True):
    """What became of a chunk."""

    results: list[Any]
    """One for each item that was run, in order; None for those that failed."""
    failures: list[tuple[int, bytes]]
    """(position in `results`, packed error)."""
    seconds: float
    node: str
    """Hexadecimal id of the node it ran on."""
    weight: int = 0
    """About how many bytes a result has."""
    left: int = 0
    """How many items at its end were given back; the report may come before its last results."""


def run_chunk(
    plan: Plan, first: int, large: list[ObjectRef[Any]], items: Sequence[Any] | None, *flat: Any
) -> tuple[Report, Report | None]:
    """Run the items of a chunk, the first of which is item *first* of the map.

    Args:
        large: references of what is large: of the function, if the plan has none, and of
            values that come before the item in each call.
        items: the items; with a `width` of n, tuples of n arguments. None: they are in
            *flat*, all arguments one after the other, for references were among them.

    Returns:
        A report on the items that were run, and None. Instead of None, the caller gets a
        first report early if the chunk takes longer than `Plan.patience`: with the
        results so far and how many items, not begun, were given back.
    """
    call = _loaded(plan, large)
    if plan.retry_on:
        call = _persistent(call, plan)
    width = plan.width
    if items is None and width == 1:
        items = flat
    elif items is None:
        items = [flat[at : at + width] for at in range(0, len(flat), width)]
    count = len(items)
    rest = iter(items)
    calls: Iterator[Any] = map(call, rest) if width == 1 else itertools.starmap(call, rest)
    results: list[Any] = []
    failures: list[tuple[int, bytes]] = []
    engine = session.require()
    chunk = _RunningChunk(rest, results, failures, engine.context.runtime().node_id)
    if (count > 1 or large) and plan.patience < float("inf"):
        _watch.add(chunk, plan.patience, engine.context.early(1))
    try:
        while True:
            try:
                results.extend(calls)
            except Exception as error:  # noqa: BLE001 - whatever an item raises is its result
                _fail(plan, items, first, results, failures, error)
                continue
            if len(results) == count - len(chunk.taken):
                break
            # `extend` takes an item's StopIteration for the end of all items.
            stopped = RuntimeError(f"{plan.name} raised StopIteration")
            _fail(plan, items, first, results, failures, stopped)
    finally:
        _watch.remove(chunk)
        if plan.patience == float("inf"):
            _held.clear()  # nobody watches
    return chunk.report(len(results)), None


def _fail(
    plan: Plan, items: Sequence[Any], first: int, results: list[Any],
    failures: list[tuple[int, bytes]], error: Exception,
) -> None:
    place = len(results)
    if plan.noted:
        error.add_note(f"(item {first + place}: {brief(items[place])})")
    failures.append((place, pack_error(error, plan.name, socket.gethostname(), os.getpid())))
    results.append(None)
    # The error holds this chunk's frame, and the frame all of its items.
    error.__traceback__ = None


def brief(value: Any) -> str:
    """How *value* looks, in at most 80 characters; never raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken repr must not hide the item's own error
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def weight(value: Any) -> int:
    """About how many bytes *value* has; arrays and strings exactly, containers hardly at all."""
    size = getattr(value, "nbytes", None)
    return size if isinstance(size, int) else sys.getsizeof(value, 64)


def _persistent(call: Callable[..., Any], plan: Plan) -> Callable[..., Any]:
    """*call*, tried again as the options of the function say."""
    kinds = plan.retry_on if isinstance(plan.retry_on, tuple) else (Exception,)

    def again(*item: Any) -> Any:
        for attempt in itertools.count():
            try:
                return call(*item)
            except kinds:
                if attempt == plan.retries:
                    raise
        raise AssertionError("unreachable")

    return again


# -- the function -----------------------------------------------------------------


class _Held:
    """The large values of the map whose chunk ran here last, until none has for a second."""

    now: tuple[tuple[str, ...], list[Any]] = ((), [])

    def clear(self) -> None:
        """Let go of them."""
        self.now = ((), [])


_held = _Held()


def _loaded(plan: Plan, large: list[ObjectRef[Any]]) -> Callable[..., Any]:
    if plan.source and plan.filename not in linecache.cache:
        remember_source(plan.filename, plan.source)
    key = tuple(ref.hex() for ref in large)
    known, values = _held.now
    if known != key:
        values = []
        _held.clear()  # first: old and new together may not fit
        if large:
            values = session.require().get(large, None)
            _held.now = (key, values)
    call, *common = [plan.call, *values] if plan.call is not None else values
    return functools.partial(call, *common) if common else call


# -- giving back --------------------------------------------------------------------


class _RunningChunk:
    """A running chunk, whose items are taken away when its time is up."""

    __slots__ = ("due", "failures", "give", "items", "node", "results", "started", "taken")

    def __init__(
        self, items: Iterator[Any], results: list[Any], failures: list[tuple[int, bytes]], node: str
    ) -> None:
        self.items = items
        self.results = results
        self.failures = failures
        self.node = node
        self.started = time.perf_counter()
        self.taken: list[Any] = []
        self.due = 0.0
        self.give: Callable[[Any], None] = lambda _report: None

    def report(self, ran: int) -> Report:
        """What is to be said of the first *ran* items."""
        failures = [failure for failure in self.failures if failure[0] < ran]
        seconds = time.perf_counter() - self.started
        results = self.results[:ran]
        size = weight(results[0]) if results else 0
        return Report(results, failures, seconds, self.node, size, len(self.taken))

    def hand_over(self) -> None:
        """Give back what has not been begun, and the results so far (from the watch's thread)."""
        self.taken.extend(self.items)  # one operation: the loop sees all of it or nothing
        report = self.report(len(self.results))
        if not report.results and not report.left:
            return
        try:
            self.give(report)
        except Exception:  # noqa: BLE001 - references or user types: such results come at the end
            self.give(Report([], [], report.seconds, self.node, left=report.left))


class _Watch:
    """The thread that looks at running chunks; it ends when none has run for a second."""

    def __init__(self) -> None:
        # Single operations instead of a lock, which an interrupt could leave locked.
        self._chunks: set[_RunningChunk] = set()
        self._pause = 1.0
        self._thread: threading.Thread | None = None

    def add(self, chunk: _RunningChunk, patience: float, give: Callable[[Any], None]) -> None:
        """In *patience* seconds, take the chunk's items away and *give* an early report."""
        chunk.due = time.monotonic() + patience
        chunk.give = give
        self._chunks.add(chunk)
        self._pause = max(0.002, patience / LOOKS)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nbray-map", daemon=True)
            self._thread.start()

    def remove(self, chunk: _RunningChunk) -> None:
        """The chunk has ended."""
        self._chunks.discard(chunk)

    def _hand_over(self, chunk: _RunningChunk) -> None:
        try:
            chunk.hand_over()
        except RayError:
            pass  # the cluster ends; what was taken is missing in the last report too

    def _run(self) -> None:
        idle = time.monotonic()
        while True:
            time.sleep(self._pause)
            now = time.monotonic()
            running = list(self._chunks)
            for chunk in running:
                if chunk.due <= now:
                    self._chunks.discard(chunk)
                    self._hand_over(chunk)
            if running:
                idle = now
            elif now - idle > 1.0:
                _held.clear()
                self._thread = None
                if not self._chunks:
                    return
                # One came before it could see that the thread ends.
                self._thread = threading.current_thread()


_watch = _Watch()
