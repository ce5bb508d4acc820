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
    """The queue itself; one per `Queue`."""

    def __init__(self, maxsize: int) -> None:
        self.items: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def size(self) -> int:
        return self.items.qsize()

    async def put(self, item: Any, timeout: float | None) -> bool:  # noqa: ASYNC109 - Ray's name
        try:
            await asyncio.wait_for(self.items.put(item), timeout)
        except TimeoutError:
            return False
        return True

    async def get(self, timeout: float | None) -> tuple[bool, Any]:  # noqa: ASYNC109 - Ray's name
        try:
            return True, await asyncio.wait_for(self.items.get(), timeout)
        except TimeoutError:
            return False, None

    async def put_batch(self, items: list[Any]) -> bool:
        if self.items.maxsize and self.items.qsize() + len(items) > self.items.maxsize:
            return False
        for item in items:
            self.items.put_nowait(item)
        return True

    async def get_batch(self, count: int) -> tuple[bool, list[Any]]:
        if self.items.qsize() < count:
            return False, []
        return True, [self.items.get_nowait() for _ in range(count)]


class Queue:
    """A queue that can be passed to tasks and actors.

    Args:
        maxsize: 0 for no limit.
        actor_options: options of the actor that holds it.
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        self.actor = remote(_QueueActor).options(**(actor_options or {})).remote(maxsize)

    def __reduce__(self) -> Any:
        return _attach, (self.maxsize, self.actor)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items are in it."""
        size: int = get(self.actor.size.remote())
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
        """
        if not get(self.actor.put.remote(item, _seconds(block, timeout))):
            raise Full

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item; waits for one up to *timeout* seconds.

        Raises:
            Empty: there was none.
        """
        there, item = get(self.actor.get.remote(_seconds(block, timeout)))
        if not there:
            raise Empty
        return item

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
        """
        given = list(items)
        if not get(self.actor.put_batch.remote(given)):
            raise Full(f"cannot add {len(given)} items to a queue of at most {self.maxsize}")

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take exactly *num_items*.

        Raises:
            Empty: there are fewer.
        """
        there, items = get(self.actor.get_batch.remote(num_items))
        if not there:
            raise Empty(f"there are fewer than {num_items} items")
        taken: list[Any] = items
        return taken

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End the queue and its actor; items in it are lost.

        Args:
            force: at once, and not after the calls that were made before.
            grace_period_s: how many seconds those are waited for, at most.
        """
        if not force:
            wait([self.actor.__ray_terminate__.remote()], timeout=grace_period_s)
        kill(self.actor, no_restart=True)


def _seconds(block: bool, timeout: float | None) -> float | None:
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout must be at least 0 seconds, not {timeout}")
    # Not 0, with which asyncio would give up before it has looked.
    return timeout if block else 0.001


def _attach(maxsize: int, actor: Any) -> Queue:
    made = Queue.__new__(Queue)
    made.maxsize = maxsize
    made.actor = actor
    return made
