"""Pins: which objects a process uses, told to the node by locks that the kernel keeps.

Owns the locks of one process in its node's file of pins. Does not own which objects it uses
(the caller says, and is asked) nor what the node does with it (`core.node.store.spilling`).

Rules. A pin is a shared lock on one byte of a file in which there are none: the byte's place is
the object's generation (or the number of a filler, see `nbray.wire.pins`). A node that moves an
object locks its byte for itself, first, and never lets go; so whoever gets a pin may read where
the object was made, and who does not get one asks. Nobody waits for a lock. They are locks of
open file descriptions: those of a process that ends are gone with it, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nbray.wire.messages import Slot

NAME: Final = "nbray-pins"
PINS: Final = hasattr(fcntl, "F_OFD_SETLK") and hasattr(os, "memfd_create")
"""Whether this system has such locks; without them no object moves."""
_FLOCK = struct.Struct("hhqqi4x" if struct.calcsize("P") == 8 else "hhqqi")
_REFUSED = frozenset({errno.EAGAIN, errno.EACCES})


def _lock(descriptor: int, kind: int, pin: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, pin, 1, 0))
    except OSError as error:
        if error.errno in _REFUSED:
            return False
        raise
    return True


def make() -> int:
    """The node's file of pins, by a descriptor that stays open.

    Raises:
        OSError: the system makes none, or has no such locks.
    """
    if not PINS:
        raise OSError(errno.ENOSYS, "the system has no locks of open file descriptions")
    descriptor = os.memfd_create(NAME, os.MFD_CLOEXEC)
    try:
        take(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def take(descriptor: int, pin: int) -> bool:
    """Have the node own a pin from now on; False if somebody holds it.

    Raises:
        OSError: the system has no memory for a lock.
    """
    return _lock(descriptor, fcntl.F_WRLCK, pin)


def give_back(descriptor: int, pin: int) -> None:
    """Anybody may have it again."""
    _lock(descriptor, fcntl.F_UNLCK, pin)


def is_held(descriptor: int, pin: int) -> bool:
    """Whether somebody else holds it."""
    if not take(descriptor, pin):
        return True
    give_back(descriptor, pin)
    return False


class Pins:
    """Those of one process. Safe in any thread, and in a signal's handler.

    Args:
        node_pid: pid of the node, whose descriptor *number* is the file of pins.
        viewed: tells whether a slot is viewed here.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, node_pid: int, number: int, viewed: Callable[[Slot], bool]) -> None:
        path = f"/proc/{node_pid}/fd/{number}"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        target = str(Path(f"/proc/self/fd/{self._descriptor}").readlink())
        if target.removesuffix(" (deleted)") != f"/memfd:{NAME}":
            os.close(self._descriptor)
            raise FileNotFoundError(errno.ENOENT, "the node's file of pins is gone", path)
        self._viewed = viewed
        self._held: set[Slot] = set()
        self._left: deque[Slot] = deque()
        self._lock = threading.RLock()

    def hold(self, slot: Slot) -> bool:
        """Pin *slot*, a view of which is counted already; False if it has moved, or moves now."""
        with self._lock:
            held = slot in self._held
            if not held and _lock(self._descriptor, fcntl.F_RDLCK, slot.generation):
                self._held.add(slot)
                held = True
        if self._left:
            self._settle()
        return held

    def leave(self, slot: Slot) -> None:
        """The last view of a slot is gone. For finalizers, which may run anywhere: never waits."""
        self._left.append(slot)
        self._settle()

    def _settle(self) -> None:
        """Let go of what was left, and is not viewed again; whoever is at it does the rest."""
        while self._left and self._lock.acquire(blocking=False):
            try:
                slot = self._left.popleft()
                if slot in self._held and not self._viewed(slot):
                    self._held.discard(slot)
                    _lock(self._descriptor, fcntl.F_UNLCK, slot.generation)
            except IndexError:
                pass  # a finalizer came between
            finally:
                self._lock.release()

    def check(self) -> None:
        """Let go of all that is not viewed."""
        self._left.extend(list(self._held))
        self._settle()

    def fill(self, pin: int) -> None:
        """Something is being filled, under this number."""
        _lock(self._descriptor, fcntl.F_RDLCK, pin)

    def filled(self, pin: int) -> None:
        """No more."""
        _lock(self._descriptor, fcntl.F_UNLCK, pin)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
