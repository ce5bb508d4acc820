"""Calls of one function, made one after the other in an actor, and what came of each.

Owns the actor that pools and executors run calls in, the results with their errors,
here and there, and how screens count calls that travel together. Does not own who calls
what when (`multiprocessing`, `executor`).

Rules: a call that raises fails alone, and raises here the very exception that it raised
there, caused by a `RayTaskError` that tells where. Screens count calls, each by itself,
however many travel together.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from nbray import session
from nbray.actor import ActorMethod
from nbray.api import get, put
from nbray.config import INLINE_LIMIT
from nbray.definitions import remember_source, trial
from nbray.engine import Engine
from nbray.exceptions import RayError, RaySystemError, RayTaskError, TaskCancelledError
from nbray.ids import FIRST_NODE
from nbray.options import MethodOptions
from nbray.refs import ObjectRef
from nbray.remote import remote, short_name, source_of
from nbray.util.chunk_run import pack_error, unpack_error

Form = Literal["one", "star", "full"]
"""What a call is: its only argument, its arguments, or (arguments, keyword arguments)."""


class FailedCall(msgspec.Struct, frozen=True):
    """Stands in for the result of a call that raised."""

    packed: bytes

    def error(self) -> BaseException:
        """What it raised, caused by a `RayTaskError`."""
        return original(unpack_error(self.packed))


def original(error: BaseException) -> BaseException:
    """What a task raised, as it was, where *error* tells of a task; else *error*."""
    if not isinstance(error, RayTaskError) or error.cause is None:
        return error
    cause: BaseException = error.cause
    if isinstance(cause, RayError):
        return cause
    told = RayTaskError(
        error.function_name, error.traceback_str, cause, error.node, error.pid, error.frames
    )
    told.__cause__ = cause.__cause__
    cause.__cause__ = told
    return cause


class Carried(msgspec.Struct, frozen=True):
    """A function as it is given to `run_batch`."""

    name: str
    """What errors say that failed."""
    call: Callable[..., Any] | None
    """None: it is large, and was put once."""
    filename: str = ""
    source: str = ""
    """Where it was defined if that is no file, for tracebacks."""

    def to(self, told: set[str]) -> Carried:
        """The same for a process, which is told the source of a file once: *told* are those."""
        if not self.source:
            return self
        if self.filename in told:
            return msgspec.structs.replace(self, source="")
        told.add(self.filename)
        return self


def carried(
    function: Callable[..., Any], shown: Callable[..., Any] | None = None
) -> tuple[Carried, list[ObjectRef[Any]]]:
    """How *function* travels: as it is or, if it is large, put once.

    Args:
        shown: the user's function, whose name and source it has (None: *function* itself).
    """
    user = function if shown is None else shown
    plain = user
    while isinstance(plain, functools.partial):
        plain = plain.func
    code = getattr(inspect.unwrap(plain), "__code__", None)
    try:
        large = trial(function) > INLINE_LIMIT
    except Exception:  # noqa: BLE001 - the call says what stands in the way
        large = False
    told = Carried(
        short_name(plain), None if large else function, getattr(code, "co_filename", ""),
        source_of(plain) if code is not None else "",
    )  # fmt: skip
    return told, [put(function)] if large else []


class PoolActor:
    """The actor that runs calls."""

    def __init__(
        self, initializer: Callable[..., Any] | None = None, initargs: Iterable[Any] = ()
    ) -> None:
        self._large: tuple[str, Any] = ("", None)
        if initializer is not None:
            initializer(*initargs)

    def ping(self) -> str:
        """Answers as soon as the actor has been made: the id of its node."""
        return session.require().context.runtime().node_id

    def run_batch(
        self, carried: Carried, large: list[ObjectRef[Any]], calls: Sequence[Any], form: Form
    ) -> list[Any]:
        """Results of *calls*, in order; a `FailedCall` for each that raised.

        A call that is alone raises what it raised: it has failed as any task has.
        """
        function: Any = carried.call
        if carried.source:
            remember_source(carried.filename, carried.source)
        if large:
            key = large[0].hex()
            if self._large[0] != key:
                self._large = ("", None)  # first: old and new together may not fit
                self._large = (key, get(large[0]))
            function = self._large[1]
        results: list[Any] = []
        for call in calls:
            try:
                if form == "one":
                    results.append(function(call))
                elif form == "star":
                    results.append(function(*call))
                else:
                    args, kwargs = call
                    results.append(function(*args, **kwargs))
            except Exception as error:
                if len(calls) == 1:
                    raise
                results.append(_failed(error, carried.name))
            except SystemExit as error:  # a call's end is not its process's
                results.append(_failed(error, carried.name))
        return results


def _failed(error: BaseException, name: str) -> FailedCall:
    packed = pack_error(error, name, socket.gethostname(), os.getpid())
    error.__traceback__ = None  # it holds this frame, and the frame all results
    return FailedCall(packed)


PoolActorClass = remote(num_cpus=0)(PoolActor)
"""The actor class, as Ray's pools have it: without CPUs."""


def send(
    actor: Any, function: Carried, large: list[ObjectRef[Any]], calls: Sequence[Any], form: Form,
    items: int,
) -> ObjectRef[Any]:  # fmt: skip
    """Have *actor*, a `PoolActor`, make *calls*, which are counted as *items*.

    Of one, the engine counts the task; of more, whoever sends them does (see `Ends`).
    """
    options = MethodOptions(name=function.name, counted=items == 1, expendable=True)
    method = ActorMethod(actor._info, actor._life, "run_batch", options, None)
    ref: ObjectRef[Any] = method.remote(function, large, calls, form)
    return ref


class Ends:
    """Counts, for the screens, what became of calls that went together."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._numbers: dict[str, int] = {}
        """Of nodes, by their ids."""

    def expect(self, cell: str, items: int) -> None:
        """So many more are to be done for *cell*; fewer, if it is negative."""
        self._count(cell, items)

    def came(
        self, cell: str, node_id: str, items: int, error: BaseException | None,
        values: Sequence[Any],
    ) -> None:  # fmt: skip
        """*items* that were expected have ended, with *values*, or all at once with *error*."""
        failed = cancelled = 0
        if isinstance(error, TaskCancelledError):
            cancelled = items
        elif isinstance(error, RayTaskError):  # one has raised, and the others are not to be had
            failed, cancelled = 1, items - 1
        elif error is not None:
            failed = items
        else:
            failed = sum(type(one) is FailedCall for one in values)
        self._count(cell, 0, self._number(node_id), items - failed - cancelled, failed, cancelled)

    def _count(self, cell: str, submitted: int, *ended: int) -> None:
        with contextlib.suppress(RaySystemError):  # the cluster has ended
            self._engine.cells.count(cell, submitted, *ended)

    def _number(self, node_id: str) -> int:
        if node_id and node_id not in self._numbers:
            with contextlib.suppress(RaySystemError):  # as above
                rows = self._engine.cluster.nodes()
                self._numbers = {row["NodeID"]: row.get("NodeNumber", FIRST_NODE) for row in rows}
        return self._numbers.get(node_id, FIRST_NODE)
