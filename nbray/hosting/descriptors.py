"""What is written past Python: by C code and by child processes, to descriptors 1 and 2.

Owns two files (`output_files`) that these descriptors of a worker append to, and how far they
have been read. Files and not pipes, because nobody has to read them in time, nothing blocks, and
the last words of a worker that has died are still there for root. Rules: looking costs two system
calls and allocates nothing; what was read is given back; what comes faster than it is read,
beyond `KEPT_OUTPUT`, is dropped with a sentence.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import faulthandler
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from nbray.config import KEPT_OUTPUT, KEPT_SHARE
from nbray.hosting import output_files

CHUNK = 1 << 20
"""Bytes read at once, and given back at once."""
_UNBUFFERED = 2
"""_IONBF of stdio."""


class _File:
    """What one descriptor appends to."""

    def __init__(self, name: str, source: int) -> None:
        self.name = name
        self.source = source
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.gone = 0
        """Up to where it was given back."""


class Descriptors:
    """Descriptors 1 and 2 of this process, from now on files that can be read on.

    Args:
        stem: where files are made, if they need a folder, and how they are called.
        given: descriptor 2 is such a file already, and its maker reads the last words.
        memory: bytes that this process may use, of which a share is kept.
    """

    def __init__(
        self, stem: Path, given: bool = False, memory: Callable[[], int] = lambda: 0
    ) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._files: list[_File] = []
        self._read = [0, 0]
        for name, number in (("stdout", 1), ("stderr", 2)):
            if number == 2 and given:
                source = os.dup(2)
            else:
                source = output_files.make(f"{stem.name}-{name}", stem.parent)
                os.dup2(source, number)
            self._read[number - 1] = os.lseek(source, 0, os.SEEK_END)
            self._files.append(_File(name, source))
        self._out, self._err = self._files[0].source, self._files[1].source

    def grown(self, seek: Callable[[int, int, int], int] = os.lseek) -> bool:
        """Whether there is something to read."""
        read = self._read
        return seek(self._out, 0, 2) != read[0] or seek(self._err, 0, 2) != read[1]

    def read(self, most: int = CHUNK) -> list[tuple[str, str]]:
        """('stdout' or 'stderr', text) of what came since the last time, *most* bytes of each."""
        found: list[tuple[str, str]] = []
        with self._lock:
            for index, file in enumerate(self._files):
                end = os.lseek(file.source, 0, os.SEEK_END)
                self._shorten(index, file, end, found)
                data = os.pread(file.source, most, self._read[index])
                self._read[index] += len(data)
                text = file.decoder.decode(data)
                if text:
                    found.append((file.name, text))
                self._give_back(file, self._read[index])
        return found

    def _shorten(self, index: int, file: _File, end: int, found: list[tuple[str, str]]) -> None:
        """Drop what is more than is kept."""
        if end < self._read[index]:  # somebody has cut it
            self._read[index] = file.gone = end
        if end - self._read[index] <= KEPT_OUTPUT:
            return
        keep = max(KEPT_OUTPUT, int(self._memory() * KEPT_SHARE))
        if end - keep > self._read[index]:
            dropped, self._read[index] = end - keep - self._read[index], end - keep
            file.decoder.reset()
            text = (
                f"\n[nbray: {dropped:,} bytes that were written to {file.name} faster than they "
                f"could be read are dropped; the last {keep:,} follow]\n"
            )
            found.append((file.name, text))

    @staticmethod
    def _give_back(file: _File, read: int) -> None:
        """What was read takes no room any more, but for the last words."""
        if read - file.gone >= CHUNK + output_files.LAST:
            file.gone = output_files.let_go(file.source, file.gone, read - output_files.LAST)

    def __del__(self) -> None:
        for file in self._files:
            with contextlib.suppress(OSError):
                os.close(file.source)


def unbuffer() -> None:
    """Have C's stdout write at once, as it does on a terminal, and crashes say where they were.

    So does SIGUSR2, of all threads and without an end: `nbray stack` sends it.
    """
    faulthandler.enable(2, all_threads=False)
    faulthandler.register(signal.SIGUSR2, 2, all_threads=True)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        library = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(library, "stdout")
        library.setvbuf(stdout, None, _UNBUFFERED, 0)
