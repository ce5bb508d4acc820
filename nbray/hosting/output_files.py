"""Where what a worker's C code and child processes write is kept until somebody has read it.

Owns such files: on Linux memory that has no name, else a file in the session's folder. Does not
own reading them on (`descriptors`). Rules: a full disk hinders nobody from printing; what was
delivered takes no room; what a worker said last can be read when it is dead, by root, who made
the file and lets it go with the worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

LAST = 16_384
"""Bytes that are read of what somebody said last."""
PAGE = 4096
_PUNCH = 0x03
"""FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE."""


def make(name: str, folder: Path) -> int:
    """A new file to be appended to and read, as a descriptor that children do not inherit.

    Where no memory and no disk is left for it, what is written goes nowhere.
    """
    try:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create(f"nbray-{name}", os.MFD_CLOEXEC)
            # Whoever opens it anew, as /dev/stdout, has a place of his own in it.
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
            return descriptor
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        path = folder / name
        descriptor = os.open(path, flags, 0o600)
        path.unlink()
    except OSError:
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return descriptor


def tail(descriptor: int) -> str:
    """What was written last."""
    with contextlib.suppress(OSError):
        size = os.fstat(descriptor).st_size
        start = max(0, size - LAST)
        return os.pread(descriptor, size - start, start).decode(errors="replace")
    return ""


def let_go(descriptor: int, start: int, end: int) -> int:
    """Give back the pages between two places, which have been read; where it got to.

    Where the system cannot do it they go with the file.
    """
    end = end // PAGE * PAGE
    if end <= start:
        return start
    import ctypes

    with contextlib.suppress(AttributeError, OSError):
        place = ctypes.c_int64
        ctypes.CDLL(None).fallocate(descriptor, _PUNCH, place(start), place(end - start))
    return end
