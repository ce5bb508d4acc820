"""Calls of one function, made one after the other in an actor, and what came of each.

Owns the actor that pools and executors run calls in, and the results with their errors,
here and there. Does not own who calls what when (`multiprocessing`, `executor`).

Rule: a call that raises fails alone, and raises here the very exception that it raised
there, caused by a `RayTaskError` that tells where.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from nbray.api import get, put
from nbray.config import INLINE_LIMIT
from nbray.definitions import trial
from nbray.exceptions import RayError, RayTaskError
from nbray.refs import ObjectRef
from nbray.remote import remote
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


def carried(function: Callable[..., Any]) -> tuple[Any, list[ObjectRef[Any]]]:
    """How *function* is given to `run_batch`: as it is or, if it is large, put once."""
    try:
        large = trial(function) > INLINE_LIMIT
    except Exception:  # noqa: BLE001 - the call says what stands in the way
        large = False
    return (None, [put(function)]) if large else (function, [])


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
        self, function: Any, large: list[ObjectRef[Any]], calls: Sequence[Any], form: Form,
        name: str,
    ) -> list[Any]:  # fmt: skip
        """Results of *calls*, in order; a `FailedCall` for each that raised.

        Args:
            function, large: as `carried` gives them.
            name: what errors say that failed.
        """
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
                results.append(_failed(error, name))
        return results


def _failed(error: Exception, name: str) -> FailedCall:
    packed = pack_error(error, name, socket.gethostname(), os.getpid())
    error.__traceback__ = None  # it holds this frame, and the frame all results
    return FailedCall(packed)


PoolActorClass = remote(num_cpus=0)(PoolActor)
"""The actor class, as Ray's pools have it: without CPUs."""
