"""Tasks in a worker of Ray's: the trampoline that runs them, and how their end is told.

Owns how a function travels and runs. Does not own actors (`resident`). Rule: whatever user code
raises leaves as one of the two errors of `errors`, so that Ray tries again what is to be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray

from nbray.engines.ray import private
from nbray.engines.ray.boxes import Box, Unmade, boxed, open_box
from nbray.engines.ray.bracket import bracket, gave, spoiled, where
from nbray.engines.ray.errors import Cancelled, Failed, Retry
from nbray.engines.ray.foreign import OWN
from nbray.engines.ray.heads import Head, decode, together, wants_retry
from nbray.engines.ray.returns import returned
from nbray.exceptions import RayError, RaySystemError, TaskCancelledError, on_behalf
from nbray.options import DYNAMIC, STREAMING
from nbray.wire.pickling import Packed, pack_error, unpack_error


class Definition:
    """A function or class on its way: unpacked once in each process, by its first call."""

    def __init__(self, name: str, packed: Packed) -> None:
        self.name = name
        self._box = Box(packed)

    def __reduce__(self) -> Any:
        return Arrived, (self.name, *self._box.__reduce_ex__(5)[1])


class Stored:
    """A definition that takes much along: it lies in Ray's store, once for each node."""

    def __init__(self, name: str, where: Any) -> None:
        self.name = name
        self._where = where
        self._value: Any = None

    def __reduce__(self) -> Any:
        return Stored, (self.name, self._where)

    def load(self) -> Any:
        """What was defined; raises as `Arrived.load` does."""
        if self._value is None:
            value = ray.get(self._where)
            if type(value) is Unmade:
                raise Failed(value.data)
            self._value = value
        return self._value


class Arrived:
    """A definition in a worker."""

    def __init__(self, name: str, *parts: Any) -> None:
        self.name = name
        self._parts = parts
        self._value: Any = None
        self._loaded = False

    def load(self) -> Any:
        """What was defined.

        Raises:
            Failed: it cannot be made here.
        """
        if not self._loaded:
            value = open_box(*self._parts)
            if type(value) is Unmade:
                raise Failed(value.data)
            self._value, self._loaded = value, True
        return self._value


def trampoline(definition: Any, yields: bool) -> Callable[..., Any]:
    """The function that Ray runs for the tasks of *definition*, or for those that yield.

    Ray speaks of it by its name, and by what stands behind that its records tell the engine's own
    tasks from others (`foreign`).
    """

    def run(head: bytes, *rest: Any) -> Any:
        return run_task(definition, head, rest)

    def run_generator(head: bytes, *rest: Any) -> Any:
        yield from run_task(definition, head, rest)

    made = run_generator if yields else run
    made.__name__ = made.__qualname__ = f"{definition.name}{OWN}"
    return made


def run_task(definition: Any, head: bytes, rest: Sequence[Any]) -> Any:
    """Run one task.

    Raises:
        Failed, Retry: it failed.
    """
    known = decode(head)
    refuse_unmade(known, rest)
    if known.returns in {STREAMING, DYNAMIC}:
        return values(known, definition.load, rest)
    return outcome(known, definition.load, rest)


def refuse_unmade(head: Head, rest: Sequence[Any]) -> None:
    """An argument that stands for an error is this call's error.

    Raises:
        Failed: one does; of one that could not be put together again, this call tells.
    """
    for value in rest:
        if type(value) is Unmade:
            error = unpack_error(value.data)
            if isinstance(error, RaySystemError) and isinstance(error.client_exc, Exception):
                raise Failed(pack_error(on_behalf(error), head.name, *where()))
            raise Failed(value.data)


def outcome(head: Head, target: Callable[[], Any], rest: Sequence[Any]) -> Any:
    """What *target* gives returns for its arguments, as Ray is to have it."""
    with bracket(head):
        try:
            args, kwargs = together(head, rest)
            result = target()(*args, **kwargs)
            return returned(
                result, head.returns, head.name,
                lambda error: wants_retry(head.retry, error), lambda error: packed(error, head),
            )  # fmt: skip
        except KeyboardInterrupt as error:
            if private.is_cancelled():
                raise cancelled(error, head) from None
            raise told(error, head) from None
        except Exception as error:  # noqa: BLE001 - users' code raises what it likes
            raise told(error, head) from None


def values(head: Head, target: Callable[[], Any], rest: Sequence[Any]) -> Iterator[Any]:
    """The same for what yields: each value as it comes; an error is the last."""
    what = f"what {head.name} yields"
    with bracket(head):
        try:
            args, kwargs = together(head, rest)
            for value in read(target()(*args, **kwargs)):
                found = boxed(value, what)
                gave(head)
                yield found
        except Exception as error:  # noqa: BLE001 - users' code raises what it likes
            end = told(error, head)
            if type(end) is Retry:
                raise end from None
            spoiled.add(head.number)
            yield Unmade(end.data)


def read(result: Any) -> Iterator[Any]:
    """What a generator, an asynchronous one too, yields."""
    if not hasattr(result, "__aiter__"):
        yield from result
        return
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                value = loop.run_until_complete(anext(result))
            except StopAsyncIteration:
                return
            yield value
    finally:
        loop.run_until_complete(result.aclose())
        loop.close()


def packed(error: BaseException, head: Head) -> bytes:
    """*error* as whoever asks for what the call makes meets it."""
    host, pid = where()
    own = isinstance(error, RayError) and error.__traceback__ is None
    return pack_error(error, "" if own else head.name, host, pid)


def cancelled(error: BaseException | None, head: Head) -> Cancelled:
    """The end of a call that *error* has interrupted: it tells where it was."""
    end = TaskCancelledError(f"{head.name} was cancelled while it ran")
    if error is not None:
        end = end.with_traceback(error.__traceback__)
    return Cancelled(pack_error(end, head.name, *where()))


def told(error: BaseException, head: Head) -> Failed:
    """*error* as Ray is to have it."""
    if isinstance(error, Failed):
        return error
    kind = Retry if wants_retry(head.retry, error) else Failed
    return kind(packed(error, head))


def gone(error: BaseException) -> Failed:
    """An error of nbray's own as Ray is to have it."""
    return Failed(pack_error(error, "", "", 0))
