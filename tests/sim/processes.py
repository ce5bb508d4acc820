"""What every process of the simulation is: an inbox, a time at which it looks, an end.

Owns when a process looks at what came, and standing still. Does not own what it does then
(`nodes`, `head`, `clients`). Rule: what comes due while it stands still is done when it goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from sim.world import World

from nbray.ids import node_client, node_of
from nbray.runtime.core import versions
from nbray.wire.codec import encode, envelope

VERSIONS = versions.own()
CLUSTER = 7


class Process:
    """Anything with an inbox."""

    def __init__(self, world: World, me: int) -> None:
        self.world = world
        self.me = me
        self.number = node_of(me)
        self.alive = True
        self.inbox: deque[list[Any]] = deque()
        self._due = float("inf")
        self._turn = 0
        self.paused = False
        """It stands still, as with SIGSTOP or in a machine that sleeps."""
        self._held: list[tuple[Any, ...]] = []
        self.forgotten: set[int] = set()
        """Peers that the brain said to forget; nothing is sent to them."""
        world.processes[me] = self

    def arrived(self, frames: list[Any]) -> None:
        """A message came into the inbox; it is looked at a moment later."""
        self.inbox.append(frames)
        self.wake(self.world.now + 1e-5 * self.world.rng.random())

    def wake(self, at: float) -> None:
        """Have `round` called at this time, or earlier."""
        if at < self._due:
            self._due = at
            self._turn += 1
            self.world.at(max(0.0, at - self.world.now), self._round, self._turn)

    def pause(self) -> None:
        """Stand still."""
        self.paused = True

    def resume(self) -> None:
        """Go on with what has come meanwhile."""
        self.paused = False
        held, self._held = self._held, []
        for index, (action, *arguments) in enumerate(held):
            self.world.at(1e-6 * index, action, *arguments)
        self.wake(self.world.now + 1e-6 * len(held))

    def stands(self, action: Callable[..., None], *arguments: Any) -> bool:
        """Whether it stands still, and does *action* when it goes on."""
        if self.paused:
            self._held.append((action, *arguments))
        return self.paused

    def _round(self, turn: int) -> None:
        if self.stands(self._round, turn):
            return
        if turn == self._turn and self.alive:
            self._due = float("inf")
            self.round()

    def round(self) -> None:
        """Take what arrived and act."""
        raise NotImplementedError

    def post(self, to: int, message: Any) -> None:
        """Send as `Post` does: by way of this machine's node if *to* lives elsewhere."""
        world = self.world
        world.tell(self.me, "->", to, message)
        if to in self.forgotten:
            return
        if node_of(to) == self.number:
            world.pipe(self.me, to, [encode(message)])
        else:
            world.pipe(self.me, node_client(self.number), [envelope(to), encode(message)])

    def forget(self) -> None:
        """The story is over: hold no memory any more."""

    def die(self) -> None:
        """The kernel ends the process, wherever it is."""
        if self.alive:
            self.alive = False
            self.world.cut_pipes(self.me)
