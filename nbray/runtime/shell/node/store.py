"""A node's store, done: memory and files made and given back, objects moved, what came of it.

Owns which of the store's effects is whose: those of memory are `segments`', those of the disk
`disk`'s. Does not own the deciding (`core.node.store`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, assert_never

import msgspec

from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.store.storage import Storage
from nbray.runtime.shell.machine.descriptors import Room
from nbray.runtime.shell.node.disk import Files
from nbray.runtime.shell.node.segments import Segments
from nbray.wire.messages import Slot

Sender = Callable[[fx.SendBulk, Sequence[bytes | memoryview]], None]
"""Sends frames of an object; they are copied before it returns."""


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
                refused = files.add(size)
                return storage.file_failed(refused) if refused else []
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
        storage = self._storage
        disk = storage.books.disk
        for one in self._files.outcomes():
            if one.left is not None and disk is not None:
                disk.left = one.left
            if one.reclaimed is not None:
                storage.reclaimed(*one.reclaimed)
            elif one.read is not None:
                out.extend(one.read(one.data, one.why))
            elif one.file is not None:
                out.extend(storage.file_added(one.file.number, one.size))
            elif one.size:
                out.extend(storage.file_failed(one.why))
            elif one.written or one.failed:
                out.extend(self._storage.spilled((), one.written, one.failed, one.why))
        return out

    def look(self) -> None:
        """Begin to look at the disk, if something lies there: how much it has left."""
        disk = self._storage.books.disk
        if disk is not None and len(disk):
            self._files.look()

    def write(self, slot: Slot, start: int, frames: Iterable[bytes | memoryview]) -> None:
        """Write *frames* into *slot*, one behind the other, from its byte *start* on.

        Raises:
            OSError: the disk does not take it.
        """
        (self._files if slot.on_disk else self.memory).write(slot, start, frames)

    def read(self, effect: fx.SendBulk, send: Sender) -> None:
        """Have *send* send the bytes that *effect* names: now, or when the disk has given them.

        What is gone is not sent.
        """
        slot, start, size = effect.slot, effect.start, effect.size
        if not slot.on_disk:
            data = self.memory.views(slot, start, size)
            if data:
                send(effect, data)
            return
        books = self._storage.books

        def then(data: list[bytes], why: str) -> list[fx.NodeEffect]:
            if not books.lies(slot):
                why = why or "the object has been freed there"
            if why:
                told = msgspec.structs.replace(effect.message, why=why)
                return [fx.Send(effect.to, told)]
            send(effect, data)
            return []

        self._files.read(slot, start, size, then)

    def close(self) -> None:
        """The node's end."""
        self._files.close()
