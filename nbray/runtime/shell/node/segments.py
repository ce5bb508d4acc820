"""The segments of a node's shared memory: made, written to, read for others, given back.

Owns them, by number, and those that are still to be closed. Does not own what lies where in them
(`core.node.store.slots`), nor how one is made (`store.segments`).
"""

from __future__ import annotations

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

    def write(self, slot: Slot, start: int, data: bytes | memoryview) -> None:
        """Write *data* into *slot* from its byte *start* on."""
        segment = self._segments.get(slot.segment)
        if segment is not None:
            size = min(len(data), slot.size - start)
            view = segment.view(slot.offset + start, size)
            view[:] = memoryview(data)[:size]

    def copy(self, slot: Slot, start: int, size: int) -> bytes | None:
        """So many bytes of *slot*; None if its segment is gone.

        A copy: the slot may be freed and used again before the IO thread is done with it.
        """
        segment = self._segments.get(slot.segment)
        return None if segment is None else bytes(segment.view(slot.offset + start, size))
