"""Messages of any size over a link whose frames are small: cut into pieces, joined again.

Owns the form of a piece. Does not own the link, which keeps pieces in order and
brings each once. Rules: what fits in one frame travels as it is; a piece says
how long its frame is, so that memory is taken once; what makes no sense, or
announces more than any process takes (`MAX_MESSAGE`), is dropped and counted,
and never raises.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from nbray.config import MAX_MESSAGE, PIECE

Payload = Sequence[bytes | memoryview]
"""One message as frames, a link's header included when it is to be transmitted."""

_HEAD = struct.Struct("!BBQQ")
"""Mark, whether more frames follow this one, bytes of the whole frame, where the piece starts."""
_MARK = 0x50
"""No message and no envelope begins with it (see `wire.codec`)."""


def cut(frames: Payload, most: int = PIECE) -> Iterator[Payload]:
    """*frames* as messages of at most about *most* bytes: itself, if it is small enough."""
    if sum(len(frame) for frame in frames) <= most:
        yield frames
        return
    last = len(frames) - 1
    for index, frame in enumerate(frames):
        view = memoryview(frame)
        size = len(view)
        for start in range(0, max(1, size), most):
            yield _HEAD.pack(_MARK, index < last, size, start), view[start : start + most]


class Joiner:
    """Joins what one peer's link brings.

    Attributes:
        dropped: pieces that made no sense.
    """

    __slots__ = ("_filled", "_frame", "_frames", "dropped")

    def __init__(self) -> None:
        self._frames: list[bytes | memoryview] = []
        self._frame: bytearray | None = None
        self._filled = 0
        self.dropped = 0

    def add(self, payload: Payload) -> Payload | None:
        """The message that *payload* is, or ends; None if more is to come."""
        first = payload[0]
        if len(first) != _HEAD.size or first[0] != _MARK:
            return payload
        _, more, size, start = _HEAD.unpack(first)
        if start == 0:
            self._filled = 0
            self._frame = bytearray(size) if self._fits(size) else None
        piece = payload[1] if len(payload) == 2 else b""
        frame = self._frame
        end = start + len(piece)
        if frame is None or size != len(frame) or start != self._filled or end > size:
            self._forget()
            return None
        frame[start:end] = piece
        self._filled = end
        if end < size:
            return None
        self._frames.append(memoryview(frame))
        self._frame = None
        if more:
            return None
        frames, self._frames = self._frames, []
        return frames

    def _fits(self, size: int) -> bool:
        return size + sum(len(frame) for frame in self._frames) <= MAX_MESSAGE

    def _forget(self) -> None:
        self.dropped += 1
        self._frames = []
        self._frame = None
