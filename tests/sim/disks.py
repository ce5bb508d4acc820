"""What a node of the simulation has on disk, and who has pinned what of its store.

Owns what `runtime.shell.node.disk` and `runtime.store.pins` own in a real cluster. Rule: what is
written is whole when the node hears of it, and what moves under a view is a failure.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim.loops import Memory

from nbray.runtime.core import effects as fx
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


class SimDisk:
    """The disk of one node."""

    def __init__(self, node: NodeProcess) -> None:
        self._node = node
        self._world = node.world
        self._numbers = itertools.count(1)
        self.files: set[int] = set()
        self.taken: set[int] = set()
        """Generations that the node has for itself."""
        self.failing = 0
        """Writes that are to fail."""

    def carry_out(self, effect: Any) -> None:
        """See `runtime.shell.node.store`."""
        world, node, storage = self._world, self._node, self._node.brain.storage
        match effect:
            case fx.AddFile(size=size):
                number = ON_DISK | next(self._numbers)
                self.files.add(number)
                world.segments[node.number, number] = Memory(number & ~ON_DISK, size)
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
            if memory is None or file is None or failed or self.failing:
                self.failing -= bool(self.failing and not failed)
                failed.append(move.slot.generation)
                continue
            data = bytes(memory.view(move.slot.offset, move.slot.size))
            file.fill(move.to.offset, [(0, data)])
            written.append(move.slot.generation)
        node._perform(node.brain.storage.spilled((), written, failed, "the disk is full"))
        node.plan()

    def _reclaimed(self, number: int, offset: int) -> None:
        node = self._node
        if node.alive and not node.stands(self._reclaimed, number, offset):
            node.brain.storage.reclaimed(number, offset)
