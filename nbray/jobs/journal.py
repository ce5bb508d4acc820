"""All that a job has printed and displayed, in a file, to be read from any place.

Owns the file. Does not own when it is written or shown. Rule: nothing is lost
and nothing stays in memory, but on a full disk: there what is printed is kept in memory up to a
bound, then dropped with a sentence, and the job goes on; who reads knows how far it has read.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections import deque
from pathlib import Path

import msgspec

from nbray.events import Display, Output
from nbray.text import forgiving

MOST = 1 << 20
"""Bytes that one `read` gives, or one event if that is larger."""
KEPT = 8 << 20
"""Bytes that are kept in memory while the disk is full."""
_LOST = (
    "[nbray: the disk is full, so what this job prints from here on is lost; its result is not]\n"
)
_LENGTH = struct.Struct("!I")


class Journal:
    """Events by position: bytes from the start of *path*.

    The file is made anew; with *again* it goes on behind what a process has left there
    that died, even in the middle of an event.
    """

    def __init__(self, path: Path, again: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._encode = forgiving(msgspec.msgpack.Encoder().encode)
        self._decode = msgspec.msgpack.Decoder(Output | Display).decode
        self._late: deque[bytes] = deque()
        """What the disk has no room for."""
        self._late_size = 0
        self._full = False
        """There is no room anywhere: events are lost."""
        self._closed = False
        self._size = 0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o600)
        except OSError:  # the disk has no place for another file
            self._file = -1
            return
        self._size = self._whole() if again else 0
        os.ftruncate(self._file, self._size)

    def _whole(self) -> int:
        """The end of the last event that is there in full."""
        most, position = os.fstat(self._file).st_size, 0
        while position + _LENGTH.size <= most:
            (size,) = _LENGTH.unpack(os.pread(self._file, _LENGTH.size, position))
            if position + _LENGTH.size + size > most:
                break
            position += _LENGTH.size + size
        return position

    def add(self, event: Output | Display) -> None:
        """Note one event. Any thread; never raises for a disk that is full."""
        data = self._framed(event)
        with self._lock:
            if self._closed:
                return
            self._catch_up()
            if self._late or not self._written(data):
                self._keep(event, data)

    def _framed(self, event: Output | Display) -> bytes:
        data = self._encode(event)
        return _LENGTH.pack(len(data)) + data

    def _written(self, data: bytes) -> bool:
        """Append *data* as a whole; False, and nothing of it, if there is no room."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            return False
        self._size += len(data)
        return True

    def _keep(self, event: Output | Display, data: bytes) -> None:
        """What the disk has no room for, in memory as far as it goes."""
        if self._full:
            return
        if self._late_size + len(data) > KEPT:
            self._full = True
            if isinstance(event, Output):
                data = self._framed(msgspec.structs.replace(event, stream="stderr", text=_LOST))
        self._late.append(data)
        self._late_size += len(data)

    def _catch_up(self) -> None:
        """Write what had to wait, if there is room again."""
        while self._late and self._written(self._late[0]):
            self._late_size -= len(self._late.popleft())
            self._full = False

    def read(self, position: int) -> tuple[list[Output | Display], int]:
        """What follows *position* (at most about `MOST` bytes), and where that ends."""
        with self._lock:
            end, late = self._size, list(self._late)
        events: list[Output | Display] = []
        first = position
        while position < end and position - first < MOST:
            (size,) = _LENGTH.unpack(os.pread(self._file, _LENGTH.size, position))
            events.append(self._decode(os.pread(self._file, size, position + _LENGTH.size)))
            position += _LENGTH.size + size
        # What waits for the disk has the places that it will have there.
        for data in late:
            if position - first >= MOST:
                break
            if end == position:
                events.append(self._decode(memoryview(data)[_LENGTH.size :]))
                position += len(data)
            end += len(data)
        return events, position

    @property
    def end(self) -> int:
        """The position behind the last event."""
        with self._lock:
            return self._size + self._late_size

    def close(self) -> None:
        """Remove the file."""
        with self._lock:
            self._closed = True
            self._late.clear()
            self._late_size = 0
            file, self._file = self._file, -1
            if file >= 0:
                os.close(file)
                with contextlib.suppress(OSError):
                    self._path.unlink()
