"""`Queue`: first in, first out between tasks, actors and drivers (Ray's interface).

Owns an asynchronous actor that holds an `asyncio.Queue`; waiting happens there.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable
from typing import Any

from nbray.api import get, kill, wait
from nbray.remote import remote


class Empty(queue.Empty):
    """Nothing to take."""


class Full(queue.Full):
    """No room for the item."""


class _QueueActor:
    """The queue itself; one per `Queue`. A put answers whether there was room, a get (whether
    there was an item, the item)."""

    def __init__(self, maxsize: int) -> None:
        self.items: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def qsize(self) -> int:
        return self.items.qsize()

    async def put(self, item: Any, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - Ray's
        try:
            await asyncio.wait_for(self.items.put(item), timeout)
        except TimeoutError:
            return await self.put_nowait(item)  # wait_for(..., 0) has not even tried
        return True

    async def get(self, timeout: float | None = None) -> tuple[bool, Any]:  # noqa: ASYNC109 - same
        try:
            return True, await asyncio.wait_for(self.items.get(), timeout)
        except TimeoutError:
            return await self.get_nowait()

    async def put_nowait(self, item: Any) -> bool:
        return await self.put_batch([item]) is None

    async def get_nowait(self) -> tuple[bool, Any]:
        if self.items.empty():
            return False, None
        return True, self.items.get_nowait()

    async def put_batch(self, items: list[Any]) -> int | None:
        """None, or how many items are in it where these do not fit."""
        size = self.items.qsize()
        if self.items.maxsize > 0 and size + len(items) > self.items.maxsize:
            return size
        for item in items:
            self.items.put_nowait(item)
        return None

    async def get_batch(self, count: int) -> list[Any] | int:
        """The items, or how many there are where they are too few."""
        size = self.items.qsize()
        return size if size < count else [self.items.get_nowait() for _ in range(count)]


class Queue:
    """A queue that can be passed to tasks and actors.

    Args:
        maxsize: 0 for no limit.
        actor_options: options of the actor that holds it.
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        self.actor: Any = remote(_QueueActor).options(**(actor_options or {})).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items are in it."""
        size: int = get(self.actor.qsize.remote())
        return size

    def qsize(self) -> int:
        """The same as `size`."""
        return self.size()

    def empty(self) -> bool:
        """Whether nothing is in it."""
        return self.size() == 0

    def full(self) -> bool:
        """Whether it has reached `maxsize`."""
        return self.maxsize > 0 and self.size() >= self.maxsize

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; waits for room up to *timeout* seconds.

        Raises:
            Full: there was none.
            ValueError: *timeout* is negative.
        """
        if not get(self._putting(item, block, timeout)):
            raise Full

    async def put_async(
        self, item: Any, block: bool = True, timeout: float | None = None  # noqa: ASYNC109 - Ray's
    ) -> None:
        """`put`, to be awaited."""
        if not await self._putting(item, block, timeout):
            raise Full

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item; waits for one up to *timeout* seconds.

        Raises:
            Empty: there was none.
            ValueError: *timeout* is negative.
        """
        there, item = get(self._getting(block, timeout))
        if not there:
            raise Empty
        return item

    async def get_async(
        self, block: bool = True, timeout: float | None = None  # noqa: ASYNC109 - Ray's name
    ) -> Any:
        """`get`, to be awaited."""
        there, item = await self._getting(block, timeout)
        if not there:
            raise Empty
        return item

    def _putting(self, item: Any, block: bool, timeout: float | None) -> Any:
        if not block:
            return self.actor.put_nowait.remote(item)
        return self.actor.put.remote(item, _checked(timeout))

    def _getting(self, block: bool, timeout: float | None) -> Any:
        return self.actor.get.remote(_checked(timeout)) if block else self.actor.get_nowait.remote()

    def put_nowait(self, item: Any) -> None:
        """`put(item, block=False)`."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """`get(block=False)`."""
        return self.get(block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Add all items or, if they do not fit, none.

        Raises:
            Full: they do not fit.
            TypeError: *items* cannot be iterated over.
        """
        if not isinstance(items, Iterable):
            raise TypeError("Argument 'items' must be an Iterable")
        given = list(items)
        size = get(self.actor.put_batch.remote(given))
        if size is not None:
            raise Full(
                f"Cannot add {len(given)} items to queue of size {size} and maxsize "
                f"{self.maxsize}."
            )

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take exactly *num_items*.

        Raises:
            Empty: there are fewer.
            TypeError, ValueError: *num_items* is no whole number, or negative.
        """
        if not isinstance(num_items, int):
            raise TypeError("Argument 'num_items' must be an int")
        if num_items < 0:
            raise ValueError("'num_items' must be nonnegative")
        taken: list[Any] | int = get(self.actor.get_batch.remote(num_items))
        if isinstance(taken, int):
            raise Empty(f"Cannot get {num_items} items from queue of size {taken}.")
        return taken

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End the queue and its actor; items in it are lost. Afterwards it has no actor.

        Args:
            force: at once, and not after the calls that were made before.
            grace_period_s: how many seconds those are waited for, at most.
        """
        actor, self.actor = self.actor, None
        if actor is None:
            return
        if not force:
            wait([actor.__ray_terminate__.remote()], timeout=grace_period_s)
        kill(actor, no_restart=True)


def _checked(timeout: float | None) -> float | None:
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return timeout

