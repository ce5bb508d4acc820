"""What a pool's calls come back as: a result to be asked for, an iterator over results.

Owns waiting, errors, and calling back. Does not own who runs what (`pool`).

Rule: whoever waits, waits in `nbray.wait`, so that bars and Stop know of it.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import TimeoutError
from typing import Any, Self

from nbray import session
from nbray.api import wait
from nbray.refs import ObjectRef
from nbray.util.long_wait import LongWait
from nbray.util.multiprocessing.batches import Batch, Batches, CallError


class AsyncResult:
    """The result of calls that may still run; made by the pool's methods.

    Args:
        batches: in order.
        single: one call in one batch, whose result is not in a list.
    """

    def __init__(
        self, batches: list[Batch],
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        single: bool = False,
    ) -> None:  # fmt: skip
        self._batches = batches
        self._refs = [one.ref for one in batches]
        self._single = single
        self._results: dict[int, list[Any]] = {}
        """What was read, by the number of the batch."""
        self._callback = callback
        self._error_callback = error_callback
        self._told: threading.Event | None = None
        """Set when callbacks have been called; None: there are none."""
        if callback is not None or error_callback is not None:
            self._told = threading.Event()
            self._lock = threading.Lock()
            self._failed = False
            if not batches:
                self._tell_all()
            cell = session.cell.get()
            for number, batch in enumerate(batches):
                batch.future().add_done_callback(
                    lambda _, number=number: self._come(number, cell)  # type: ignore[misc]
                )

    def _come(self, number: int, cell: str) -> None:
        results = self._batches[number].results()
        with self._lock:
            self._results[number] = results
            last = len(self._results) == len(self._refs)
            failed = next((one for one in results if isinstance(one, CallError)), None)
            first = failed is not None and not self._failed
            self._failed = self._failed or first
        token = session.cell.set(cell)  # what a callback launches belongs to the cell of the call
        try:
            if first and failed is not None and self._error_callback is not None:
                _call(self._error_callback, failed.error)
            if last:
                self._tell_all()
        finally:
            session.cell.reset(token)

    def _tell_all(self) -> None:
        assert self._told is not None
        try:
            if not self._failed and self._callback is not None:
                results = self._joined()
                _call(self._callback, results[0] if self._single else results)
        finally:
            self._told.set()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all have ended, *timeout* seconds at most."""
        until = None if timeout is None else time.monotonic() + max(0.0, timeout)
        if self._refs:
            left = None if timeout is None else max(0.0, timeout)
            wait(self._refs, num_returns=len(self._refs), timeout=left)
        if self._told is not None:
            self._told.wait(None if until is None else max(0.0, until - time.monotonic()))

    def ready(self) -> bool:
        """Whether all have ended."""
        if self._told is not None:
            return self._told.is_set()
        return not self._refs or not wait(
            self._refs, num_returns=len(self._refs), timeout=0, fetch_local=False
        )[1]

    def get(self, timeout: float | None = None) -> Any:
        """The result, or the list of results; waits for it.

        Raises:
            multiprocessing.TimeoutError: not within *timeout* seconds.
            Exception: what the first of the calls that failed raised.
        """
        self.wait(timeout)
        if timeout is not None and not self.ready():
            raise TimeoutError
        results = self._joined()
        for one in results:
            if isinstance(one, CallError):
                raise one.error
        return results[0] if self._single else results

    def successful(self) -> bool:
        """Whether none of the calls has failed.

        Raises:
            ValueError: not all have ended.
        """
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return not any(isinstance(one, CallError) for one in self._joined())

    def _joined(self) -> list[Any]:
        missing = [n for n in range(len(self._refs)) if n not in self._results]
        for number in missing:
            self._results[number] = self._batches[number].results()
        return [one for n in range(len(self._refs)) for one in self._results[n]]


def _call(callback: Callable[[Any], object], value: Any) -> None:
    """Call it; what it raises is shown as that of a thread is."""
    if isinstance(value, BaseException):
        with contextlib.suppress(Exception):
            value.underlying = value  # type: ignore[attr-defined]  # where Ray's programs look
    try:
        callback(value)
    except Exception:  # noqa: BLE001 - callbacks raise what they like
        kind, error, trace = sys.exc_info()
        assert kind is not None
        args = (kind, error, trace, threading.current_thread())
        threading.excepthook(threading.ExceptHookArgs(args))


class IMapIterator:
    """Results as they are asked for; the items are read meanwhile, a batch for each process.

    An item that failed raises at its place; the next one can be asked for as if nothing
    had happened.
    """

    def __init__(
        self, batches: Batches, items: Iterator[Any], size: int, ahead: int,
        read: Callable[[IMapIterator], None],
    ) -> None:  # fmt: skip
        self._batches = batches
        self._all_read = read
        self._items = items
        self._size = size
        self._running: dict[ObjectRef[Any], Batch] = {}
        """In the order in which they were sent."""
        self._ended: dict[ObjectRef[Any], Batch] = {}
        """Ended, but not handed out."""
        self._line: collections.deque[ObjectRef[Any]] = collections.deque()
        """All of these, in order."""
        self._results: collections.deque[Any] = collections.deque()
        self.exhausted = False
        """Whether all items have been read."""
        self._waits = LongWait()
        self._broken: Exception | None = None
        """What reading the items raised, to be raised after what came before."""
        for _ in range(ahead):
            self._send()

    def send_all(self) -> None:
        """Read all items that are left, and send them."""
        while not self.exhausted:
            self._send()

    def _send(self) -> None:
        if self.exhausted:
            return
        calls: list[Any] = []
        try:
            calls.extend(itertools.islice(self._items, self._size))
        except Exception as error:  # noqa: BLE001 - raised again when the loop gets there
            self._broken = error
        self.exhausted = self._broken is not None or len(calls) < self._size
        if calls:
            batch = self._batches.submit(calls)
            self._running[batch.ref] = batch
            self._line.append(batch.ref)
        if self.exhausted:
            self._all_read(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """The next result.

        Raises:
            StopIteration: there is none.
            multiprocessing.TimeoutError: it was not there within *timeout* seconds.
            Exception: what the call raised.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self._results:
            batch = self._next_batch()
            if batch is not None:
                self._results.extend(batch.results())
                continue
            if not self._running:
                self._waits.close()
                broken, self._broken = self._broken, None
                if broken is not None:
                    raise broken
                raise StopIteration
            left = None if until is None else max(0.0, until - time.monotonic())
            with self._waits:
                ready, _ = wait(list(self._running), timeout=left)
            if not ready:
                raise TimeoutError
            for one in ready:
                self._ended[one] = self._running.pop(one)
                self._send()
        result = self._results.popleft()
        if isinstance(result, CallError):
            raise result.error
        return result

    def _next_batch(self) -> Batch | None:
        """The next that may be handed out, if there is one; it is taken out."""
        raise NotImplementedError


class OrderedIMapIterator(IMapIterator):
    """Results in the order of the items; made by `Pool.imap`."""

    def _next_batch(self) -> Batch | None:
        if not self._line or self._line[0] not in self._ended:
            return None
        return self._ended.pop(self._line.popleft())


class UnorderedIMapIterator(IMapIterator):
    """Results in the order in which they come; made by `Pool.imap_unordered`."""

    def _next_batch(self) -> Batch | None:
        self._line.clear()
        first = next(iter(self._ended), None)
        return None if first is None else self._ended.pop(first)
