"""A node's looks at its machine: the figures for screens, and the memory that is left.

Owns what is read when, and what it means that it cannot be read. Does not own what follows (the
brain's). Rule: a look that the system refuses is noted, and what was seen before stands.
"""

from __future__ import annotations

import msgspec

from nbray.events import Figures
from nbray.runtime.core.node.descriptors import DRIVER, WORKER
from nbray.runtime.core.node.memory_guard import MemoryGuard, Seen
from nbray.runtime.shell.machine import resources as machine
from nbray.runtime.shell.machine.descriptors import REFUSED, Room
from nbray.runtime.shell.machine.memory_use import MemoryUse
from nbray.runtime.shell.process.log import Notes, hindrance
from nbray.runtime.shell.process.watching import sentence

SCARCE_ROOM = 2 * WORKER + DRIVER
"""Descriptors; with fewer left somebody who comes may have to be refused."""


class Looks:
    """Those of the node whose session's folder is *directory*."""

    def __init__(self, directory: str, room: Room, notes: Notes) -> None:
        self._directory = directory
        self._room = room
        self._notes = notes
        self._memory = MemoryUse()

    def figures(self, now: float) -> Figures | None:
        """What the machine is doing, and what hinders it."""
        try:
            figures = machine.figures()
        except REFUSED as error:  # no descriptor left to read them
            self._refused("looking at the machine", error, now)
            return None
        trouble = hindrance(self._directory)
        if not trouble and self._room.left() < SCARCE_ROOM:
            trouble = f"hardly anything more can be taken on: {self._room.told()}"
        if trouble:
            self._notes.rarely(trouble, now)
        return msgspec.structs.replace(figures, trouble=trouble)

    def memory(self, guard: MemoryGuard, now: float) -> Seen:
        """How much memory is in use; if that is too much, also who has it."""
        try:
            return self._memory.look(guard.short, guard.pids)
        except REFUSED as error:
            self._refused("looking at the memory", error, now)
            return Seen(0, 0)

    def _refused(self, what: str, error: Exception, now: float) -> None:
        said = sentence(error) if isinstance(error, OSError) else error
        self._notes.rarely(f"{what} failed: {said}", now)
