"""Calls of one function, made one after the other in an actor, and what came of each.

Owns the actor that pools and executors run calls in, and the results with their errors,
here and there. Does not own who calls what when (`multiprocessing`, `executor`).

Rule: a call that raises fails alone, and raises here the very exception that it raised
there, caused by a `RayTaskError` that tells where.
"""

from __future__ import annotations

import functools
import inspect
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from nbray.api import get, put
from nbray.config import INLINE_LIMIT
from nbray.definitions import remember_source, trial
from nbray.exceptions import RayError, RayTaskError
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

    def ping(self) -> None:
        """Answers as soon as the actor has been made."""

    def run_batch(
        self, carried: Carried, large: list[ObjectRef[Any]], calls: Sequence[Any], form: Form
    ) -> list[Any]:
        """Results of *calls*, in order; a `FailedCall` for each that raised."""
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
            except Exception as error:  # noqa: BLE001 - whatever a call raises is its result
                results.append(_failed(error, carried.name))
        return results


def _failed(error: Exception, name: str) -> FailedCall:
    packed = pack_error(error, name, socket.gethostname(), os.getpid())
    error.__traceback__ = None  # it holds this frame, and the frame all results
    return FailedCall(packed)


PoolActorClass = remote(num_cpus=0)(PoolActor)
"""The actor class, as Ray's pools have it: without CPUs."""
