"""`ObjectRefGenerator`: the returns of a task that is still running, one reference after the other.

Owns what users hold of such a task, with Ray's names. Does not own the returns: an engine gives
a `Stream` of them. Rule: what is not waited for costs one call of the stream.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NoReturn, Protocol, Self, TypeVar

from nbray import session
from nbray.refs import ObjectRef

T = TypeVar("T")


class Stream(Protocol):
    """The returns of one running task, as an engine has them. One thread at a time asks."""

    @property
    def completed(self) -> ObjectRef[Any]:
        """Ready when the task has ended: None, or the error that it could not report itself."""
        ...

    @property
    def finished(self) -> bool:
        """Whether `take` raises `StopIteration` from now on; does not wait."""
        ...

    def take(self) -> ObjectRef[Any] | None:
        """The next return, which is taken by that; None if it is not there yet.

        Raises:
            StopIteration: the task has ended, and all was taken.
        """
        ...

    def peek(self) -> ObjectRef[Any]:
        """What is ready as soon as `take` gives something, or raises; takes nothing."""
        ...

    def run_out(self) -> None:
        """Its end is about to be waited for: what would run only as it is read runs to its end."""
        ...

    def close(self) -> None:
        """Nobody reads any more: the task ends where it yields next. In any thread."""
        ...


class ObjectRefGenerator(Generic[T]):
    """References to what a generator task yields, each as soon as it has been yielded.

    Made by `.remote()` of a generator function or method. Iterate over it, `async for` over
    it, or wait for it (`nbray.wait([generator])`). If the task fails, its last reference
    has the error. The task ends early when its generator is dropped. It cannot be pickled.
    """

    __slots__ = ("__weakref__", "_cell", "_shown", "_stream", "_take")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._shown: session.Waiting | None = None
        """Its waits, as bars see them: one from the first in a cell to the end."""
        self._cell = ""
        self._take = stream.take

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ObjectRef[T]:
        """Wait for the next reference.

        Raises:
            StopIteration: there are no more.
        """
        try:
            ref = self._take()
            return ref if ref is not None else self._wait()
        except BaseException:
            self._unwatch()
            raise

    def _next_sync(self, timeout_s: float | None = None) -> ObjectRef[T]:
        """As `next`, for at most *timeout_s* seconds; `ObjectRef.nil()` if it is not there then.

        Raises:
            StopIteration: there are no more.
        """
        if timeout_s is None or timeout_s < 0:
            return next(self)
        ref = self._take()
        if ref is None:
            peeked = self._stream.peek()
            peeked._engine.wait([peeked], 1, timeout_s, False)
            ref = self._take()
        return ObjectRef.nil() if ref is None else ref

    def _wait(self) -> ObjectRef[T]:
        stream = self._stream
        engine = stream.completed._engine
        self._watch()
        while True:
            engine.wait([stream.peek()], 1, None, False)
            ref = stream.take()
            if ref is not None:
                if self._shown is not None:
                    self._shown.pause()
                return ref

    def _watch(self) -> None:
        """Have bars shown if reading takes long, be each wait ever so short."""
        watcher = session.watcher()
        if watcher is None:
            return
        cell = session.cell.get()
        if self._shown is None or self._cell != cell:
            self._unwatch()
            self._shown, self._cell = watcher(), cell
            self._shown.__enter__()
        else:
            self._shown.resume()

    def _unwatch(self) -> None:
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.__exit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ObjectRef[T]:
        import asyncio  # late: `import nbray` needs none of it

        stream = self._stream
        try:
            ref = stream.take()
            while ref is None:
                self._watch()
                with contextlib.suppress(Exception):  # whoever reads what is there meets its error
                    await asyncio.wrap_future(stream.peek().future())
                ref = stream.take()
                if ref is not None and self._shown is not None:
                    self._shown.pause()
            return ref
        except StopIteration:
            self._unwatch()
            raise StopAsyncIteration from None
        except BaseException:
            self._unwatch()
            raise

    def completed(self) -> ObjectRef[None]:
        """A reference that is ready when the task has ended.

        Its `get` raises only what the task could not report itself: a crash, a cancellation.
        """
        self._stream.run_out()
        return self._stream.completed

    def next_ready(self) -> bool:
        """Whether `next` would give a reference at once; False too where it would stop."""
        if self._stream.finished:
            return False
        ref = self._stream.peek()
        return bool(ref._engine.wait([ref], 1, 0, False)[0])

    def is_finished(self) -> bool:
        """Whether `next` would stop: the task has ended, and all its references were taken."""
        return self._stream.finished

    def _peek(self) -> ObjectRef[Any]:
        return self._stream.peek()

    @property
    def _generator_ref(self) -> ObjectRef[None]:
        return self._stream.completed

    def send(self, value: Any) -> NoReturn:
        """Not supported, as in Ray."""
        raise NotImplementedError("`gen.send` is not supported.")

    def throw(self, value: Any) -> NoReturn:
        """Not supported, as in Ray."""
        raise NotImplementedError("`gen.throw` is not supported.")

    def close(self) -> NoReturn:
        """Not supported, as in Ray: drop the generator, or cancel it."""
        raise NotImplementedError("`gen.close` is not supported.")

    async def asend(self, value: Any) -> NoReturn:
        """Not supported, as in Ray."""
        raise NotImplementedError("`gen.asend` is not supported.")

    async def athrow(self, value: Any) -> NoReturn:
        """Not supported, as in Ray."""
        raise NotImplementedError("`gen.athrow` is not supported.")

    async def aclose(self) -> NoReturn:
        """Not supported, as in Ray: drop the generator, or cancel it."""
        raise NotImplementedError("`gen.aclose` is not supported.")

    def __del__(self) -> None:
        stream = getattr(self, "_stream", None)
        if stream is not None:
            self._unwatch()
            stream.close()

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._stream.completed.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "You cannot return or pass a generator to other task. "
            "Serializing a ObjectRefGenerator is not allowed."
        )


class DynamicObjectRefGenerator(Generic[T]):
    """What a task with `num_returns="dynamic"` returns: references to all that it has yielded.

    Iterating takes them out; it can be pickled and passed on.
    """

    def __init__(self, refs: Iterable[ObjectRef[T]]) -> None:
        self._refs = deque(refs)

    def __iter__(self) -> Iterator[ObjectRef[T]]:
        while self._refs:
            yield self._refs.popleft()

    def __len__(self) -> int:
        return len(self._refs)


def wait_for_streams(
    wait: Callable[..., tuple[list[Any], list[Any]]], waited: Sequence[Any], num_returns: int,
    timeout: float | None, fetch_local: bool,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """`nbray.wait`, which is *wait* for references, where some of *waited* are generators.

    A generator is ready when its next reference is, or when it has none any more.

    Raises:
        ValueError: one of them twice.
    """
    if len({id(one) for one in waited}) < len(waited):
        raise ValueError("wait() takes a list of unique ObjectRefs; this one has duplicates")
    refs = [one._peek() if isinstance(one, ObjectRefGenerator) else one for one in waited]
    of = dict(zip(refs, waited, strict=True))
    found = wait(refs, num_returns=num_returns, timeout=timeout, fetch_local=fetch_local)
    return [of[ref] for ref in found[0]], [of[ref] for ref in found[1]]
