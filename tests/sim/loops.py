"""What a client's shell stands on, in virtual time: its loop, its callbacks, its node's memory.

Owns what `Loop`, `Callbacks` and `Mappings` own in a real process: the waiting, the
threads and the segments. Rule: whatever would block lets the world go on.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim.threads import Thread, thread

from nbray.runtime.core.effects import ClientEffect
from nbray.runtime.store.mappings import Mappings
from nbray.runtime.store.segments import Segment, SegmentGone
from nbray.wire.messages import Slot

if TYPE_CHECKING:
    from sim.clients import ClientProcess

CHUNK = 1 << 20
"""Bytes in which objects travel between nodes."""


class ClientLoop:
    """The loop of one client; see `Loop` for the methods."""

    def __init__(self, process: ClientProcess) -> None:
        self._process = process
        self._world = process.world
        self._brain = process.brain
        self.closed = False
        self.critical = False
        self.after: list[Callable[[float], list[ClientEffect]]] = []

    def now(self) -> float:
        return self._world.now

    def locked(self, action: Callable[[], list[ClientEffect] | None]) -> None:
        self.perform(action() or [])

    def perform(self, effects: list[ClientEffect]) -> None:
        self._process.perform(effects)

    def held_here(self) -> bool:
        return False

    def forked(self) -> None:
        """Nothing is forked here."""

    # -- submitting -----------------------------------------------------------------------

    def flush(self) -> None:
        if self.driven() or not self._brain.tasks.unfinished:
            self.perform(self._brain.pump(self.now()))
        else:
            self._process.take()

    def nudge(self) -> None:
        self._process.nudge()

    def wake(self) -> None:
        self._process.check_threads()

    # -- waiting --------------------------------------------------------------------------

    def driven(self) -> bool:
        """Whether a thread waits in the loop, and so takes what comes."""
        return any(one.drives for one in self._process.threads)

    def notify(self, event: threading.Event | None) -> Callable[[], None]:
        def wake() -> None:
            if event is not None:
                event.set()
            self.wake()

        return wake

    def wait(
        self, done: Callable[[], bool], deadline: float | None, event: threading.Event,
        start: Callable[[], list[ClientEffect]] | None = None,
    ) -> bool:  # fmt: skip
        me = thread()
        if start is not None and not self.closed:
            self.perform(start())
        while not done():
            if self.closed:
                return False
            if deadline is not None and self.now() >= deadline:
                break
            me.drives = True
            try:
                me.block(deadline, done)
            finally:
                me.drives = False
        return done()

    def close(self, linger: float = 0.2) -> None:
        self.closed = True
        self.wake()


class Callbacks:
    """What runs on a thread of its own, one after the other; see `client.callbacks`."""

    def __init__(self, process: ClientProcess) -> None:
        self._process = process
        self._actions: deque[Callable[[], None]] = deque()
        self._thread: Thread | None = None

    def later(self, action: Callable[[], None]) -> None:
        self._actions.append(action)
        if self._thread is None and self._process.alive:
            self._thread = Thread(self._process, self._run)

    def _run(self) -> None:
        while self._actions:
            self._actions.popleft()()
            self._process.check_threads()
        self._thread = None

    def close(self) -> None:
        """What is left runs."""


class Memory(Segment):
    """A segment that lies in this process; all of it counts as written before."""

    __slots__ = ()

    def __init__(self, number: int, size: int) -> None:
        self.id = number
        self.size = size
        self.path = ""
        self._map: Any = mmap.mmap(-1, size)  # what nobody writes costs nothing
        self._descriptor = -1
        self._touched = -1


class Views(Mappings):
    """The segments of one node as a client sees them; what it views is looked at."""

    def __init__(self, process: ClientProcess) -> None:
        super().__init__(0)
        self._process = process
        self._world = process.world

    def _attach(self, number: int, path: str) -> Segment:
        found: Segment | None = self._world.segments.get((self._process.number, number))
        if found is None:
            raise SegmentGone(f"segment {number} has been dropped")
        return found

    def readonly(
        self, slot: Slot, on_release: Callable[[], object] | None = None
    ) -> memoryview:
        self.check(slot)
        return super().readonly(slot, on_release)

    def pins(self, number: int, viewed: Callable[[Slot], bool]) -> Any:
        from sim.disks import SimPins  # which lies above

        return SimPins(self._process, viewed)

    def check(self, slot: Slot) -> None:
        """Fail if the memory of a local slot was freed while it was viewed, or is not whole."""
        world = self._world
        if slot.node != self._process.number:
            world.fail(f"{slot} is read on node {self._process.number}")
        node = world.nodes[self._process.number]
        if node.alive and not node.holds(slot):
            world.fail(f"{slot} was freed, or moved, while it was viewed")
        chunks = world.chunks.get((slot.node, slot.generation))
        if chunks is not None and chunks != set(range(0, slot.size, CHUNK)):
            world.fail(f"{slot} is read before all of it has come")
