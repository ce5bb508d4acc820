"""Segments that were dropped, and whose memory is still to go back to the system.

Owns them until they are closed. Does not own which these are (`core.node.store.slots`). Rule:
a little at a time. Giving up a gigabyte takes 0.2 seconds, in which the node
would answer nobody.
"""

from __future__ import annotations

from collections import deque

from nbray.runtime.store.segments import Segment

SLICE = 16 << 20
"""Bytes given back in one step, in about 3 milliseconds."""


class Discarding:
    """True while something is left to do: call `step` after every round."""

    def __init__(self) -> None:
        self._segments: deque[Segment] = deque()
        self._done = 0
        """Bytes of the first segment that have gone."""

    def __bool__(self) -> bool:
        return bool(self._segments)

    def add(self, segment: Segment) -> None:
        """Take over a segment in which nothing lies."""
        self._segments.append(segment)

    def step(self) -> None:
        """Give back the next slice, and close what has gone altogether."""
        if not self._segments:
            return
        segment = self._segments[0]
        segment.discard(self._done, min(SLICE, segment.size - self._done))
        self._done += SLICE
        if self._done >= segment.size:
            segment.close()
            self._segments.popleft()
            self._done = 0
