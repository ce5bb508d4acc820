"""The actor in which the members of a group meet: what each brings, until all have come.

Owns who is a member and still lives, and references of values until they are fetched. Values
go by the object store, from member to member.

Rule: each member has one call here that goes on until it leaves (`stay`). The answer is the
member's own, and so whoever waits for it hears of the member's death.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from nbray import session
from nbray.exceptions import RayError

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

    def __init__(
        self, world_size: int, ranks: dict[str, int] | None, join_seconds: float = 30.0
    ) -> None:
        self.world_size = world_size
        self.join_seconds = join_seconds
        """For which one who has come waits for one who is no member yet."""
        self.ranks = ranks
        """Ranks by actors' ids, where they were declared."""
        self.members: set[int] = set()
        self.left: set[int] = set()
        self.dead: set[int] = set()
        self.steps: dict[int, _Step] = {}
        self.posts: dict[tuple[int, int, int], list[Any]] = {}
        """What was sent, by (from, to, how many before)."""
        self.posted = asyncio.Event()
        self._stays: dict[str, asyncio.Event] = {}
        """What ends each member's `stay`, by its token."""
        self._tokens: dict[int, str] = {}
        """Members' tokens, by rank."""
        self._watches: set[asyncio.Task[None]] = set()

    async def declared(self, actor: str) -> tuple[int, int]:
        """(rank, size of the group) of an actor; the rank is -1 if it is no member."""
        return (self.ranks or {}).get(actor, -1), self.world_size

    async def stay(self, token: str) -> None:
        """Goes on while the caller, who has drawn *token*, is a member."""
        await self._stays.setdefault(token, asyncio.Event()).wait()
        del self._stays[token]

    def _end_stay(self, token: str) -> None:
        self._stays.setdefault(token, asyncio.Event()).set()

    async def join(self, rank: int, world_size: int, token: str, stay: list[Any]) -> str:
        """Become a member; why not, if that is so.

        Args:
            stay: the reference of what `stay` gives the member for *token*.
        """
        why = ""
        if world_size != self.world_size:
            why = f"its size is {self.world_size}, not {world_size}"
        elif rank in self.members:
            why = f"rank {rank} is taken"
        if why:
            self._end_stay(token)
            return why
        self.members.add(rank)
        self._wake()
        self._tokens[rank] = token
        watch = asyncio.create_task(self._watch(rank, stay[0]))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return ""

    async def _watch(self, rank: int, stay: Any) -> None:
        """Until a member leaves or dies."""
        try:
            await stay
        except RayError:
            self.dead.add(rank)
            self._wake()
            if len(self.left | self.dead) >= self.world_size:
                engine = session.require()
                here = engine.context.actor()
                if here is not None:  # nobody is left to end it
                    engine.actors.kill(here[0], no_restart=True)

    async def leave(self, rank: int) -> bool:
        """Whether all have left."""
        self.left.add(rank)
        self._end_stay(self._tokens[rank])
        self._wake()
        return len(self.left | self.dead) >= len(self.members)

    def _wake(self) -> None:
        """Have all look who is still there."""
        self.posted.set()
        for step in self.steps.values():
            step.changed.set()

    def _gone(self, wanted: Iterable[int]) -> str:
        """Who of *wanted* brings nothing any more, in words ('': all can)."""
        lost = sorted(self.dead.intersection(wanted))
        if lost:
            return f"{_ranks(lost)} died"
        left = sorted(self.left.intersection(wanted))
        return f"{_ranks(left)} left the group" if left else ""

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
        now = asyncio.get_running_loop().time
        until, join_until = now() + seconds, now() + min(seconds, self.join_seconds)
        while missing := {*wait_for} - step.brought.keys():
            gone = self._gone(missing)
            if gone:
                return f"{kind} waits in vain: {gone}"
            strangers = missing - self.members
            step.changed.clear()
            try:
                async with asyncio.timeout_at(join_until if strangers else until):
                    await step.changed.wait()
            except TimeoutError:
                if now() >= until:
                    return f"{kind} waited {seconds:g} s for {_ranks(sorted(missing))}"
                late = _ranks(sorted(strangers))
                return f"{kind} waited {self.join_seconds:g} s for {late} to join"
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
        now = asyncio.get_running_loop().time
        until, join_until = now() + seconds, now() + min(seconds, self.join_seconds)
        while key not in self.posts:
            gone = self._gone([sender])
            if gone:
                return f"recv waits in vain: {gone}"
            self.posted.clear()
            try:
                async with asyncio.timeout_at(until if sender in self.members else join_until):
                    await self.posted.wait()
            except TimeoutError:
                if now() >= until:
                    return f"recv waited {seconds:g} s for rank {sender}"
                return f"recv waited {self.join_seconds:g} s for rank {sender} to join"
        return self.posts.pop(key)


def _ranks(missing: list[int]) -> str:
    named = ", ".join(map(str, missing))
    return f"rank {named}" if len(missing) == 1 else f"ranks {named}"
