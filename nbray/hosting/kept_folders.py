"""Folders that one process makes and others of its user use: who makes one, who is in it, which go.

Owns the two locks of a folder `NAME`: `NAME.lock`, held by whoever makes or looks at it, and
`NAME.use`, shared by all that are in it. Does not own what is in a folder. Rules: two processes
never make the same one at once; a lock ends with its process, however that ends; nothing is removed
that a process is in.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

LOOK = 0.02
"""Seconds between two looks at a lock that another process has."""
_in_use: dict[Path, list[IO[bytes]]] = {}
"""Held locked while this process is in there: a file for each time that it said so."""


class locked:  # noqa: N801 - used as a function
    """Alone with the folder *place*, among all processes of this machine.

    Args:
        meanwhile: done again and again while another process has it.

    Raises:
        TimeoutError: another one had it until *until*.
    """

    def __init__(
        self, place: Path, until: float | None, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self._path = beside(place, "lock")
        self._until = until
        self._meanwhile = meanwhile
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> None:
        while True:
            stream = self._path.open("ab")
            try:
                self._wait(stream)
            except BaseException:
                stream.close()
                raise
            if _still(stream, self._path):
                self._stream = stream
                return
            stream.close()  # it was removed with its folder while we waited

    def _wait(self, stream: IO[bytes]) -> None:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._until is not None and time.monotonic() > self._until:
                    raise TimeoutError(
                        "another process made the same environment for all of the time allowed "
                        "(config.setup_timeout_seconds)"
                    ) from None
                self._meanwhile()
                time.sleep(LOOK)
            else:
                return

    def __exit__(self, *_: object) -> None:
        assert self._stream is not None
        self._stream.close()


def name_of(data: bytes) -> str:
    """What a folder is called that is made of *data*."""
    import hashlib  # late: it takes long, and most workers never need it

    return hashlib.blake2b(data, digest_size=16).hexdigest()


def beside(place: Path, ending: str) -> Path:
    """The file `NAME.ending` beside the folder *place*."""
    return place.parent / f"{place.name}.{ending}"


def use(place: Path) -> None:
    """This process is in *place*, which it has locked, until it lets go of it or ends."""
    stream = beside(place, "use").open("ab")
    fcntl.flock(stream, fcntl.LOCK_SH)
    _in_use.setdefault(place, []).append(stream)


def let_go(place: Path) -> None:
    """It is in there once less."""
    streams = _in_use.get(place)
    if streams:
        streams.pop().close()
        if not streams:
            del _in_use[place]


def remove_unused(place: Path, remove: Callable[[Path], None]) -> bool:
    """Have *remove* take *place* away unless a process makes it or is in it; whether it has."""
    with contextlib.suppress(OSError), beside(place, "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with beside(place, "use").open("ab") as used:
            fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(place)
            if place.exists():
                return False
            for ending in ("use", "log", "failed", "lock"):
                beside(place, ending).unlink(missing_ok=True)
        return True
    return False


def _still(stream: IO[bytes], path: Path) -> bool:
    """Whether the open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except OSError:
        return False


__all__ = ["beside", "let_go", "locked", "name_of", "remove_unused", "use"]
