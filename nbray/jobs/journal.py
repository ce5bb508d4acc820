"""All that a job has printed and displayed, in a file, to be read from any place.

Owns the file. Does not own when it is written or shown. Rule: nothing is lost
and nothing stays in memory; who reads knows how far it has read.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from pathlib import Path

import msgspec

from nbray.events import Display, Output
from nbray.text import forgiving

MOST = 1 << 20
"""Bytes that one `read` gives, or one event if that is larger."""
_LENGTH = struct.Struct("!I")


class Journal:
    """Events by position: bytes from the start of *path*.

    The file is made anew; with *again* it goes on behind what a process has left there
    that died, even in the middle of an event.
    """

    def __init__(self, path: Path, again: bool = False) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._size = self._whole() if again else 0
        os.ftruncate(self._file, self._size)
        self._lock = threading.Lock()
        self._encode = forgiving(msgspec.msgpack.Encoder().encode)
        self._decode = msgspec.msgpack.Decoder(Output | Display).decode

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
        """Note one event. Any thread."""
        data = self._encode(event)
        data = _LENGTH.pack(len(data)) + data
        with self._lock:
            if self._file < 0:
                return
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._size += len(data)

    def read(self, position: int) -> tuple[list[Output | Display], int]:
        """What follows *position* (at most about `MOST` bytes), and where that ends."""
        with self._lock:
            end = self._size
        events: list[Output | Display] = []
        first = position
        while position < end and position - first < MOST:
            (size,) = _LENGTH.unpack(os.pread(self._file, _LENGTH.size, position))
            events.append(self._decode(os.pread(self._file, size, position + _LENGTH.size)))
            position += _LENGTH.size + size
        return events, position

    @property
    def end(self) -> int:
        """The position behind the last event."""
        return self._size

    def close(self) -> None:
        """Remove the file."""
        with self._lock:
            file, self._file = self._file, -1
            if file >= 0:
                os.close(file)
                with contextlib.suppress(OSError):
                    self._path.unlink()
