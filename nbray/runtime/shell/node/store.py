"""A node's store, done: memory and files made and given back, objects moved, what came of it.

Owns which of the store's effects is whose: those of memory are `segments`', those of the disk
`disk`'s. Does not own the deciding (`core.node.store`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, assert_never

from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.store.storage import Storage
from nbray.runtime.shell.machine.descriptors import Room
from nbray.runtime.shell.node.disk import Files, left
from nbray.runtime.shell.node.segments import Segments
from nbray.wire.messages import Slot


class Store:
    """That of one node: *storage* decides. Its session's folder is *session*."""

    def __init__(self, storage: Storage, session: str, room: Room) -> None:
        self._storage = storage
        self.memory = Segments(session, room)
        disk = storage.books.disk
        self._files = Files("" if disk is None else disk.directory, session, self.memory, room)
        self._polled: Any = None

    def carry_out(self, effect: fx.StoreEffect) -> list[fx.NodeEffect]:
        """Do one thing; what follows from it."""
        storage, files = self._storage, self._files
        match effect:
            case fx.AddSegment(size=size):
                added = self.memory.add(size)
                if isinstance(added, str):
                    return storage.segment_failed(added)
                return storage.segment_added(added, size)
            case fx.DropSegment(segment=segment):
                self.memory.drop(segment)
            case fx.AddFile(size=size):
                made = files.add(size)
                if isinstance(made, str):
                    return storage.file_failed(made)
                self.looked(True)
                return storage.file_added(made, size)
            case fx.DropFile(number=number):
                files.drop(number)
            case fx.Reclaim(number=number, offset=offset, size=size):
                files.reclaim(number, offset, size)
            case fx.MakePins():
                return storage.pins_made(files.make_pins())
            case fx.Unpin(generation=generation):
                files.unpin(generation)
            case fx.Spill(moves=moves):
                used = files.spill(moves)
                return storage.spilled(used, (), (), "") if used else []
            case _:
                assert_never(effect)
        return []

    def poll(self, poller: Any) -> None:
        """Have *poller* look at what tells of outcomes, once there is such a thing."""
        if self._files.fd >= 0 and self._polled is not poller:
            poller.register(self._files.fd, 1)  # POLLIN
            self._polled = poller

    def outcomes(self, ready: Container[object]) -> list[fx.NodeEffect]:
        """What follows from what has been done meanwhile."""
        if self._files.fd not in ready:
            return []
        out: list[fx.NodeEffect] = []
        for one in self._files.outcomes():
            if one.reclaimed is not None:
                self._storage.reclaimed(*one.reclaimed)
            else:
                out.extend(self._storage.spilled((), one.written, one.failed, one.why))
        return out

    def looked(self, begins: bool = False) -> None:
        """A look at the disk, if something lies there, or *begins* to: how much it has left."""
        disk = self._storage.books.disk
        if disk is not None and (begins or len(disk)):
            disk.left = left(disk.directory)

    def write(self, slot: Slot, start: int, frames: Iterable[bytes | memoryview]) -> None:
        """Write *frames* into *slot*, one behind the other, from its byte *start* on.

        Raises:
            OSError: the disk does not take it.
        """
        (self._files if slot.on_disk else self.memory).write(slot, start, frames)

    def views(self, slot: Slot, start: int, size: int) -> Sequence[bytes | memoryview]:
        """So many bytes of *slot*, in frames for the wire; none if they are gone.

        To be copied before anything else is done.

        Raises:
            OSError: the disk does not give them.
        """
        return (self._files if slot.on_disk else self.memory).views(slot, start, size)
