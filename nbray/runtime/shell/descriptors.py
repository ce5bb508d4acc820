"""What is written past Python: by C code and by child processes, to descriptors 1 and 2.

Owns two files in the session's folder that these descriptors of a worker
append to, and how far they have been read. Files and not pipes, because
nobody has to read them in time, nothing blocks, and the last words of a worker
that has died are still there for its node. Rule: looking costs two system
calls and allocates nothing.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import faulthandler
import os
import threading
from collections.abc import Callable
from pathlib import Path

CHUNK = 1 << 20
"""Bytes read at once."""
_UNBUFFERED = 2
"""_IONBF of stdio."""


class Descriptors:
    """Descriptors 1 and 2 of this process, from now on files beside *stem*."""

    def __init__(self, stem: Path) -> None:
        self._lock = threading.Lock()
        self._files: list[tuple[str, int, codecs.IncrementalDecoder]] = []
        self._read = [0, 0]
        decoder = codecs.getincrementaldecoder("utf-8")
        for name, number, suffix in (("stdout", 1, ".out"), ("stderr", 2, ".log")):
            path = f"{stem}{suffix}"
            try:
                target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError:  # the disk has no place for another file: what is written is lost
                path = os.devnull
                target = os.open(path, os.O_WRONLY)
            os.dup2(target, number)
            os.close(target)
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._read[number - 1] = os.lseek(source, 0, os.SEEK_END)
            self._files.append((name, source, decoder("replace")))
        self._out, self._err = self._files[0][1], self._files[1][1]

    def grown(self, seek: Callable[[int, int, int], int] = os.lseek) -> bool:
        """Whether there is something to read."""
        read = self._read
        return seek(self._out, 0, 2) != read[0] or seek(self._err, 0, 2) != read[1]

    def read(self, most: int = CHUNK) -> list[tuple[str, str]]:
        """('stdout' or 'stderr', text) of what came since the last time, *most* bytes of each."""
        found: list[tuple[str, str]] = []
        with self._lock:
            for index, (name, source, decoder) in enumerate(self._files):
                data = os.pread(source, most, self._read[index])
                self._read[index] += len(data)
                text = decoder.decode(data)
                if text:
                    found.append((name, text))
        return found

    def __del__(self) -> None:
        for _, source, _ in self._files:
            with contextlib.suppress(OSError):
                os.close(source)


def unbuffer() -> None:
    """Have C's stdout write at once, as it does on a terminal, and crashes say where they were."""
    faulthandler.enable(2, all_threads=False)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        library = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(library, "stdout")
        library.setvbuf(stdout, None, _UNBUFFERED, 0)
