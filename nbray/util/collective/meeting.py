"""The actor in which the members of a group meet: what each brings, until all have come.

Owns who is a member, and references of values until they are fetched. Values go by the
object store, from member to member.
"""

from __future__ import annotations

import asyncio
from typing import Any

Brought = dict[int, list[Any]]
"""What members have brought to one step: a list of references, by rank."""


class _Step:
    """One operation of all members."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.brought: Brought = {}
        self.changed = asyncio.Event()
        self.over: set[int] = set()
        """Ranks that need it no more."""


class CollectiveGroup:
    """One group's members and steps; an asynchronous actor."""

    def __init__(self, world_size: int, ranks: dict[str, int] | None) -> None:
        self.world_size = world_size
        self.ranks = ranks
        """Ranks by actors' ids, where they were declared."""
        self.members: set[int] = set()
        self.left: set[int] = set()
        self.steps: dict[int, _Step] = {}
        self.posts: dict[tuple[int, int, int], list[Any]] = {}
        """What was sent, by (from, to, how many before)."""
        self.posted = asyncio.Event()

    async def declared(self, actor: str) -> tuple[int, int]:
        """(rank, size of the group) of an actor; the rank is -1 if it is no member."""
        return (self.ranks or {}).get(actor, -1), self.world_size

    async def join(self, rank: int, world_size: int) -> str:
        """Become a member; why not, if that is so."""
        if world_size != self.world_size:
            return f"its size is {self.world_size}, not {world_size}"
        if rank in self.members:
            return f"rank {rank} is taken"
        self.members.add(rank)
        return ""

    async def leave(self, rank: int) -> bool:
        """Whether all have left."""
        self.left.add(rank)
        return len(self.left) >= len(self.members)

    async def bring(
        self, number: int, kind: str, rank: int, refs: list[Any], wait_for: list[int],
        seconds: float,
    ) -> Brought | str:  # fmt: skip
        """Bring *refs* to a step, and wait for what *wait_for* bring; or what went wrong."""
        step = self.steps.setdefault(number, _Step(kind))
        if step.kind != kind:
            return f"rank {rank} calls {kind} where others call {step.kind}"
        step.brought[rank] = refs
        step.changed.set()
        try:
            async with asyncio.timeout(seconds):
                while any(other not in step.brought for other in wait_for):
                    step.changed.clear()
                    await step.changed.wait()
        except TimeoutError:
            missing = sorted(set(wait_for) - step.brought.keys())
            return f"{kind} waited {seconds:g} s for {_ranks(missing)}"
        step.over.add(rank)
        if len(step.over) == self.world_size:
            self.steps.pop(number, None)
        return {other: step.brought[other] for other in wait_for}

    async def post(self, sender: int, receiver: int, number: int, refs: list[Any]) -> None:
        """Send."""
        self.posts[sender, receiver, number] = refs
        self.posted.set()

    async def fetch(
        self, sender: int, receiver: int, number: int, seconds: float
    ) -> list[Any] | str:
        """Receive; or what went wrong."""
        key = (sender, receiver, number)
        try:
            async with asyncio.timeout(seconds):
                while key not in self.posts:
                    self.posted.clear()
                    await self.posted.wait()
        except TimeoutError:
            return f"recv waited {seconds:g} s for rank {sender}"
        return self.posts.pop(key)


def _ranks(missing: list[int]) -> str:
    named = ", ".join(map(str, missing))
    return f"rank {named}" if len(missing) == 1 else f"ranks {named}"
