"""Calls that go to a pool's processes together, and what comes of each.

Owns one batch from being sent to its results. Does not own which process gets it (`pool`),
nor who waits for it (`results`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from nbray import session
from nbray.api import get
from nbray.exceptions import ActorDiedError, TaskCancelledError
from nbray.refs import ObjectRef
from nbray.util.call_batch import Carried, Ends, FailedCall, Form, carried, original


class CallError:
    """Stands for the result of a call that failed, or of a batch that did as a whole."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Batch:
    """Calls that were sent together."""

    __slots__ = ("_future", "ref")

    def __init__(self, ref: ObjectRef[Any], future: Future[Any] | None = None) -> None:
        self.ref = ref
        """Of a list of results (see `PoolActor.run_batch`)."""
        self._future = future

    def future(self) -> Future[Any]:
        """The same as a future; one, so that the results are read once."""
        if self._future is None:
            self._future = self.ref.future()
        return self._future

    def results(self) -> list[Any]:
        """What the calls returned, in order, a `CallError` for each that failed. Waits."""
        future, self._future = self._future, None  # it may hold, by its callbacks, who has us
        try:
            values = get(self.ref) if future is None else future.result()
        except Exception as error:  # noqa: BLE001 - the user's classes may fail to unpickle
            return [CallError(original(error))]
        return [CallError(one.error()) if type(one) is FailedCall else one for one in values]


class Sends(Protocol):
    """What of a pool takes batches."""

    _ends: Ends
    _terminated: bool
    """What its processes leave undone has not failed, but was given up."""

    def _send(
        self, function: Carried, large: list[ObjectRef[Any]], calls: Sequence[Any], form: Form,
        items: int,
    ) -> tuple[ObjectRef[Any], Callable[[], str]]:  # fmt: skip
        """Give them to a process: (their results, which then says its node)."""


class Batches:
    """How the calls of one function are sent: each batch under the function's name.

    Args:
        shown: the user's function, if *function* is not (see `carried`).
    """

    def __init__(
        self, pool: Sends, function: Callable[..., Any], form: Form,
        shown: Callable[..., Any] | None = None,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._form = form
        self._function, self._large = carried(function, shown)

    def submit(self, calls: Sequence[Any], items: int = 0) -> Batch:
        """Send one; screens count it as *items* (0: as many as there are calls)."""
        items = items or len(calls)
        if items == 1:
            return Batch(self._send(calls, 1)[0])
        cell, ends = session.cell.get(), self._pool._ends
        ends.expect(cell, items)
        try:
            ref, node = self._send(calls, items)
        except BaseException:
            ends.expect(cell, -items)
            raise

        def came(done: Future[Any]) -> None:
            error = done.exception()
            values = () if error is not None else done.result()
            if isinstance(error, ActorDiedError) and self._pool._terminated:
                error = TaskCancelledError("")
            ends.came(cell, node(), items, error, values)

        future = ref.future()
        future.add_done_callback(came)
        return Batch(ref, future)

    def _send(
        self, calls: Sequence[Any], items: int
    ) -> tuple[ObjectRef[Any], Callable[[], str]]:
        return self._pool._send(self._function, self._large, calls, self._form, items)
