"""A client's side of its node's store: slots as memory.

Owns which segments this process has mapped. Does not own slots or their
release: the caller gives a callback. Rule: a mapping is kept for reuse (its
pages are warm) in least-recently-used order; leaving it here never invalidates
a view.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

from nbray.runtime.store.pins import Pins
from nbray.runtime.store.segments import NO_DESCRIPTOR, Segment, segment_path
from nbray.wire.messages import Slot

_KEPT = 64
"""Segments mapped at once; a node drops segments without telling its clients."""


class Mappings:
    """The segments of one node as this process sees them. Safe in any thread.

    Args:
        node_pid: pid of the node on this machine.
        folder: its run directory.
    """

    def __init__(self, node_pid: int, folder: str = "") -> None:
        self._node_pid = node_pid
        self._folder = folder
        self._segments: OrderedDict[int, Segment] = OrderedDict()
        self._lock = threading.RLock()  # a signal's handler may come here while we are

    def fill(self, slot: Slot, pieces: Iterable[tuple[int, bytes | memoryview]]) -> None:
        """Write *pieces*, each with its place in the slot, by whoever was given it.

        When it returns or raises, nothing is written any more.

        Raises:
            SegmentGone: the slot's segment does not exist any more.
            OSError: the system has no memory, disk or descriptor for it.
        """
        self._segment(slot.segment).fill(slot.offset, pieces)

    def readonly(self, slot: Slot, on_release: Callable[[], object] | None = None) -> memoryview:
        """The slot's bytes; see `Segment.readonly` for *on_release*.

        Raises:
            SegmentGone: the slot's segment does not exist any more.
            OSError: this process has no descriptor for it.
        """
        return self._segment(slot.segment).readonly(slot.offset, slot.size, on_release)

    def pins(self, number: int, viewed: Callable[[Slot], bool]) -> Pins:
        """Where to pin what is used here; see `Pins`.

        Raises:
            OSError: this process has no descriptor for it.
        """
        return Pins(self._node_pid, number, viewed)

    def address(self, slot: Slot) -> int:
        """Where the slot's bytes are in this process; 0 if its segment is not mapped any more."""
        with self._lock:
            segment = self._segments.get(slot.segment)
        return segment.address + slot.offset if segment is not None else 0

    def _segment(self, number: int) -> Segment:
        with self._lock:
            segment = self._segments.get(number)
            if segment is None:
                path = segment_path(number, self._node_pid, self._folder)
                segment = self._segments[number] = self._attach(number, path)
                while len(self._segments) > _KEPT:
                    self._segments.popitem(last=False)
            else:
                self._segments.move_to_end(number)
            return segment

    def _attach(self, number: int, path: str) -> Segment:
        """Map a segment; where there is no descriptor for it, others are let go."""
        while True:
            try:
                return Segment.attach(number, path)
            except OSError as error:
                if error.errno not in NO_DESCRIPTOR or not self._segments:
                    raise
                self._segments.popitem(last=False)

    def close(self) -> None:
        """Forget every segment; views stay valid."""
        with self._lock:
            self._segments.clear()
