"""The segments of a node's shared memory: made, written to, read for others, given back.

Owns them, by number, and those that are still to be closed. Does not own what lies where in them
(`core.node.store.slots`), nor how one is made (`store.segments`).
"""

from __future__ import annotations

from collections.abc import Iterable

from nbray.config import CHUNK
from nbray.runtime.shell.machine.descriptors import Room
from nbray.runtime.store.discarding import Discarding
from nbray.runtime.store.segments import SEGMENT_DESCRIPTORS, Segment
from nbray.wire.messages import Slot


class Segments:
    """Those of one node, in the session's folder *directory*."""

    def __init__(self, directory: str, room: Room) -> None:
        self._directory = directory
        self._room = room
        self._segments: dict[int, Segment] = {}
        self._serial = 0
        self.discarding = Discarding()
        """Those that were dropped, until they are closed."""

    def add(self, size: int) -> int | str:
        """The number of a new segment, or why there can be none."""
        self._serial += 1
        if not self._room.take(SEGMENT_DESCRIPTORS):
            return self._room.told()
        try:
            segment = Segment.create(size, self._serial, self._directory)
        except OSError as error:
            return f"the system has no shared memory left: {error}"
        self._segments[segment.id] = segment
        return segment.id

    def drop(self, number: int) -> None:
        """Give a segment back, a little at a time."""
        dropped = self._segments.pop(number, None)
        if dropped is not None:
            self.discarding.add(dropped)

    def release(self) -> None:
        """Give back a little of what was dropped."""
        self.discarding.step()

    def view(self, slot: Slot) -> memoryview | None:
        """The bytes of *slot*; None if its segment is gone."""
        segment = self._segments.get(slot.segment)
        return None if segment is None else segment.view(slot.offset, slot.size)

    def write(self, slot: Slot, start: int, frames: Iterable[bytes | memoryview]) -> None:
        """Write *frames* into *slot*, one behind the other, from its byte *start* on."""
        segment = self._segments.get(slot.segment)
        if segment is None:
            return
        pieces = []
        for frame in frames:
            piece = memoryview(frame)[: slot.size - start]
            pieces.append((start, piece))
            start += piece.nbytes
        segment.fill(slot.offset, pieces)

    def views(self, slot: Slot, start: int, size: int) -> list[memoryview]:
        """So many bytes of *slot*, in frames for the wire; none if its segment is gone.

        To be copied before anything else is done: the slot may be freed and used again.
        """
        segment = self._segments.get(slot.segment)
        if segment is None:
            return []
        view = segment.view(slot.offset + start, size)
        return [view[at : at + CHUNK] for at in range(0, size, CHUNK)]
