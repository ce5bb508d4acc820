"""Files on disk that hold what a node's memory does not: made, written and read by the node.

Owns them, each by its descriptor. Does not own what lies where in them (`core.node.store.disk`),
nor the clients' maps of them (`segments`: they open and map them as they do memory).

Rules. On Linux a file has no name: it is unlinked as it is made, and others open it through the
node's `/proc` entry, so that nothing is left on the disk however everybody ends, and nobody can
take it away. Elsewhere it lies in the session's folder until it is dropped. Nothing is written
through a map: a full disk is an error of the call that writes, not the end of the process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Any

from nbray.runtime.store.segments import MEMFD, file_number, segment_path, write

_PIECE = 8 << 20
"""Bytes written at a time."""
_PUNCH_HOLE = 0x03
"""Of `fallocate`: give a range back, and keep the file's size."""


class DiskFile:
    """One file.

    Attributes:
        number: as in `Slot.segment`.
    """

    def __init__(self, size: int, serial: int, directory: str, session: str) -> None:
        """Make one of *size* bytes, none of which take room on the disk yet.

        Args:
            size: bytes.
            serial: a positive number this node has not used before.
            directory: where; *session*, the session's folder, where files must have names.

        Raises:
            OSError: it cannot be made there.
        """
        if MEMFD:
            path = f"{directory}/nbray-{serial}-{os.getpid()}-{os.urandom(4).hex()}"
        else:
            path = segment_path(file_number(serial, 0), 0, session)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._path = "" if MEMFD else path
        try:
            if MEMFD:
                Path(path).unlink()
            os.ftruncate(self._descriptor, size)
            self.number = file_number(serial, self._descriptor if MEMFD else 0)
        except BaseException:
            self.close()
            raise

    def write(self, offset: int, data: memoryview | bytes) -> None:
        """Write *data* from byte *offset* on.

        Raises:
            OSError: the disk does not take it.
        """
        view = memoryview(data)
        for start in range(0, view.nbytes, _PIECE):
            write(self._descriptor, offset + start, view[start : start + _PIECE])

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from *offset* on.

        Raises:
            OSError: the disk does not give them, or the file is shorter.
        """
        parts = []
        while size:
            part = os.pread(self._descriptor, size, offset)
            if not part:
                raise OSError(errno.EIO, "the file is shorter than it was")
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def punch(self, offset: int, size: int) -> None:
        """Give a range back to the disk; where it takes none back, the room is used again."""
        if sys.platform != "linux":
            return
        import ctypes

        call: Any = ctypes.CDLL(None).fallocate
        long = ctypes.c_longlong
        with contextlib.suppress(OSError):
            call(self._descriptor, _PUNCH_HOLE, long(offset), long(size))

    def close(self) -> None:
        """Give it up: the disk has the room back when nobody maps it any more. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._path:
            Path(self._path).unlink(missing_ok=True)
