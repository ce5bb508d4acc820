"""The dashboard's record in its cluster's private folder: where it is, and its key.

Owns the file and the lock on it. Does not own the process. Rule: who serves
holds the lock for life, so a record without one is of a dashboard that is gone,
however it went.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

FILE = "dashboard.json"
GATE = "dashboard.gate"
LOG = "dashboard.log"


class Serving(msgspec.Struct, frozen=True):
    """A dashboard that serves."""

    pid: int
    port: int
    key: str


def read(folder: Path) -> Serving | None:
    """The dashboard that serves from *folder*, or None."""
    try:
        with (folder / FILE).open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return msgspec.json.decode(stream.read(), type=Serving)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        pass
    return None


def write(folder: Path, record: Serving) -> int:
    """Write *record* and hold its lock; the descriptor, to be kept open for life."""
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, msgspec.json.encode(record))
    return descriptor


def remove(folder: Path) -> None:
    """Remove the record; nothing if the folder is gone already."""
    with contextlib.suppress(OSError):
        (folder / FILE).unlink()


@contextlib.contextmanager
def gate(folder: Path, timeout: float) -> Iterator[None]:
    """Only one at a time starts a dashboard for *folder*.

    Raises:
        TimeoutError: somebody has been at it for *timeout* seconds.
    """
    deadline = time.monotonic() + timeout
    with (folder / GATE).open("wb") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                time.sleep(0.05)
        yield
