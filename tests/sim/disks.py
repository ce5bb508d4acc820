"""What a node of the simulation has on disk, and who has pinned what of its store.

Owns what `runtime.shell.node.disk` and `runtime.store.pins` own in a real cluster. Rules: what is
written is whole when the node hears of it, and what moves under a view is a failure. While the
disk is full a write is refused, or cut short and then refused, as a system does it, by chance.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sim.loops import Memory

from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.store.disk import Disk
from nbray.wire.messages import ON_DISK, Slot

if TYPE_CHECKING:
    from sim.nodes import NodeProcess
    from sim.processes import Process

PINS = 99
"""The number of every node's file of pins."""


class SimPins:
    """The pins of one client: what `runtime.store.pins.Pins` does, without a kernel."""

    def __init__(self, process: Process, viewed: Callable[[Slot], bool]) -> None:
        self._node = process.world.nodes[process.number]
        self._viewed = viewed
        self.held: set[int] = set()
        process.world.pins[process.me] = self

    def hold(self, slot: Slot) -> bool:
        if slot.generation in self._node.disk.taken:
            return False
        self.held.add(slot.generation)
        return True

    def leave(self, slot: Slot) -> None:
        if not self._viewed(slot):
            self.held.discard(slot.generation)

    def check(self) -> None:
        """All that is held was viewed a moment ago: nothing runs in between."""

    def fill(self, pin: int) -> None:
        self.held.add(pin)

    def filled(self, pin: int) -> None:
        self.held.discard(pin)


class SimFile(Memory):
    """A file on the disk of one node, which may be full."""

    __slots__ = ("_disk",)

    def __init__(self, number: int, size: int, disk: SimDisk) -> None:
        super().__init__(number, size)
        self._disk = disk

    def fill(self, offset: int, pieces: Iterable[tuple[int, bytes | memoryview]]) -> None:
        for start, data in pieces:
            taken = self._disk.takes(len(data))
            super().fill(offset, [(start, memoryview(data)[:taken])])
            if taken < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class SimDisk:
    """The disk of one node."""

    def __init__(self, node: NodeProcess) -> None:
        self._node = node
        self._world = node.world
        self._numbers = itertools.count(1)
        self.files: set[int] = set()
        self.taken: set[int] = set()
        """Generations that the node has for itself."""
        self.full = 0
        """Reasons for which nothing more goes onto it."""
        self.refused = 0
        """Writes that it has refused, or cut short."""

    def fill_up(self, seen: int | None) -> None:
        """Nothing more goes onto it; a look at it has shown that *seen* bytes are left."""
        self.full += 1
        if seen is not None:
            self._books.left = seen

    def empty(self) -> None:
        """One reason less."""
        self.full -= 1
        self._books.left = None

    @property
    def _books(self) -> Disk:
        books = self._node.books.disk
        assert books is not None
        return books

    def left_over(self) -> str:
        """What is there yet when nothing is stored any more."""
        if self.files or len(self._books) or self._books.used:
            return f"files {self.files} with {self._books.used} bytes"
        return f"the pins of {self.taken}" if self.taken else ""

    def takes(self, size: int) -> int:
        """How many of *size* bytes it takes."""
        rng = self._world.rng
        if not self.full or rng.random() < 0.3:
            return size
        self.refused += 1
        return rng.randrange(size) if size and rng.random() < 0.5 else 0

    def carry_out(self, effect: Any) -> None:
        """See `runtime.shell.node.store`."""
        world, node, storage = self._world, self._node, self._node.brain.storage
        match effect:
            case fx.AddFile(size=size):
                if self.full and world.rng.random() < 0.3:
                    node._perform(storage.file_failed("the disk takes no file: it is full"))
                    return
                number = ON_DISK | next(self._numbers)
                self.files.add(number)
                world.segments[node.number, number] = SimFile(number & ~ON_DISK, size, self)
                node._perform(storage.file_added(number, size))
            case fx.DropFile(number=number):
                node._segment_dropped(number)
            case fx.Reclaim(number=number, offset=offset):
                world.at(0.01 * world.rng.random(), self._reclaimed, number, offset)
            case fx.MakePins():
                node._perform(storage.pins_made(PINS))
            case fx.Unpin(generation=generation):
                self.taken.discard(generation)
            case fx.Spill(moves=moves):
                used = [move.slot.generation for move in moves if not self._take(move)]
                going = [move for move in moves if move.slot.generation not in used]
                if going:
                    world.at(0.05 * world.rng.random() ** 2, self._write, going)
                if used:
                    node._perform(storage.spilled(used, (), (), ""))
            case _:
                raise AssertionError(f"a node does not {effect}")

    def _take(self, move: fx.Move) -> bool:
        wanted = {move.slot.generation, move.filler}
        for me, pins in self._world.pins.items():
            process = self._world.processes[me]
            if process.alive and process.number == self._node.number and pins.held & wanted:
                return False
        self.taken.add(move.slot.generation)
        return True

    def _write(self, moves: list[fx.Move]) -> None:
        node, world = self._node, self._world
        if node.stands(self._write, moves) or not node.alive:
            return
        failed: list[int] = []
        written: list[int] = []
        for move in moves:
            memory = world.segments.get((node.number, move.slot.segment))
            file = world.segments.get((node.number, move.to.segment))
            if memory is None or file is None or failed:
                failed.append(move.slot.generation)
                continue
            data = bytes(memory.view(move.slot.offset, move.slot.size))
            try:
                file.fill(move.to.offset, [(0, data)])
            except OSError:
                failed.append(move.slot.generation)
            else:
                written.append(move.slot.generation)
        node._perform(node.brain.storage.spilled((), written, failed, "the disk is full"))
        node.plan()

    def _reclaimed(self, number: int, offset: int) -> None:
        node = self._node
        if node.alive and not node.stands(self._reclaimed, number, offset):
            node.brain.storage.reclaimed(number, offset)
