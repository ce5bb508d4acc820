"""The mailbox: an actor of Ray's to which workers post what belongs to cells.

Owns the batches on their way. Does not own what is in them (`told`), who fills them (`telling`)
nor who reads them (`desk`). Rule: it never holds more than `HELD`; whoever posts beyond that waits,
as at a pipe.
"""

from __future__ import annotations

import asyncio
from typing import Any

import ray

SPACE = "_nbray"
"""The namespace of nbray's own actors; no list for users names them."""
HELD = 8 << 20
"""Bytes that a mailbox holds of what was not taken yet."""


class Mailbox:
    """Of one driver, or of an actor that hears what its own tasks print."""

    def __init__(self) -> None:
        self._batches: list[bytes] = []
        self._size = 0
        self._something = asyncio.Event()
        self._room = asyncio.Event()

    async def post(self, batch: bytes) -> None:
        """Take a batch; returns when there was room for it."""
        while self._size > HELD:
            self._room.clear()
            await self._room.wait()
        self._batches.append(batch)
        self._size += len(batch)
        self._something.set()

    async def take(self, seconds: float) -> list[bytes]:
        """All that there is, in the order in which it came; waits *seconds* for something."""
        if not self._batches:
            self._something.clear()
            try:
                await asyncio.wait_for(self._something.wait(), seconds)
            except TimeoutError:
                return []
        found, self._batches = self._batches, []
        self._size = 0
        self._room.set()
        return found


def open_mailbox(name: str, node: str) -> Any:
    """Ray's handle of a new mailbox on *node* (or elsewhere, if that has gone): it is starting."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    made = ray.remote(Mailbox).options(
        name=name, namespace=SPACE, num_cpus=0, max_restarts=-1, max_concurrency=1000,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
    )  # fmt: skip
    return made.remote()


def find_mailbox(name: str) -> Any:
    """Ray's handle of the mailbox of this name; None: it has ended."""
    try:
        return ray.get_actor(name, namespace=SPACE)
    except ValueError:
        return None
