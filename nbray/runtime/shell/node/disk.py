"""What a node has on disk: files made, objects written to them, room given back.

Owns the files, by number, the pins that the node has taken, and the thread that writes. Does not
own what lies where (`core.node.store.disk`) nor which objects move (`core.node.store.spilling`).

Rule: the node's loop does not wait for a disk. What makes files, writes, or gives back, is done by
a thread of its own, in order, and what reads for other nodes by a second one; what came of it is
taken by `outcomes` when `fd` is readable. A thread begins with the first thing to do. What was read
counts only if the object still lies there afterwards (`core.node.store.slots`). The parts of an
object that comes from another node to disk are still written by the loop: those that follow rely
on them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nbray.config import CHUNK, SPILL_DISK_SHARE
from nbray.runtime.core.effects import Move
from nbray.runtime.shell.machine.descriptors import Room
from nbray.runtime.shell.node.segments import Segments
from nbray.runtime.shell.process.watching import sentence
from nbray.runtime.store import pins
from nbray.runtime.store.files import DiskFile
from nbray.wire.messages import Slot

FILE_DESCRIPTORS = 1
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})


class SpillingError(Exception):
    """The folder that was asked for cannot be used; says why."""


def spill_directory(given: str) -> str:
    """Where objects go that memory does not hold: *given*, made if need be, or the usual place.

    Raises:
        SpillingError: *given* cannot be used.
    """
    if not given:
        return usual_directory()
    try:
        os.makedirs(given, mode=0o700, exist_ok=True)
        if not os.access(given, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise SpillingError(
            f"objects cannot be spilled to {given} ({sentence(error)}): give another folder "
            "(nbray.init(object_spilling_directory=...))"
        ) from None
    return os.path.abspath(given)


def usual_directory() -> str:
    """Where objects go if nobody says: a disk, if there is one."""
    # As `tempfile` would choose, which loads a megabyte of other modules into every node.
    named = [one for name in ("TMPDIR", "TEMP", "TMP") if (one := os.environ.get(name))]
    candidates = [*named, "/tmp", "/var/tmp"]  # noqa: S108 - the files have no names
    usable = [one for one in candidates if os.access(one, os.W_OK | os.X_OK)]
    return next((one for one in usable if not in_memory(one)), (usable or candidates)[0])


def in_memory(directory: str) -> bool:
    """Whether what lies there takes memory all the same."""
    try:
        device = os.stat(directory).st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(
        line.split(" - ")[-1].split(" ")[0] in _IN_MEMORY
        for line in lines
        if line.split(" ")[2] == wanted
    )


def left(directory: str) -> int | None:
    """Bytes that objects may take of the disk yet; None if it does not say."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    kept = int(found.f_blocks * (1 - SPILL_DISK_SHARE))
    return max(0, (found.f_bavail - kept) * found.f_frsize)


class Outcome:
    """What came of something that the thread has done."""

    __slots__ = ("data", "failed", "file", "left", "read", "reclaimed", "size", "why", "written")

    def __init__(self) -> None:
        self.written: list[int] = []
        self.failed: list[int] = []
        """Generations."""
        self.why = ""
        self.reclaimed: tuple[int, int] | None = None
        """(file, offset)."""
        self.size = 0
        """Bytes of the file that was to be made, if one was: `file`, or `why` there is none."""
        self.file: DiskFile | None = None
        self.left: int | None = None
        """Bytes that the disk had left then, if it was looked at."""
        self.read: Callable[[list[bytes], str], Any] | None = None
        """Takes what was read, `data`, or `why` it could not be."""
        self.data: list[bytes] = []


class _Hand:
    """A thread that does one thing after the other; *done* takes the outcomes."""

    def __init__(self, name: str, done: Callable[[Outcome], None]) -> None:
        self._todo: queue.SimpleQueue[Callable[[], Outcome | None] | None] = queue.SimpleQueue()
        self._done = done
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self.do = self._todo.put

    def _run(self) -> None:
        while (action := self._todo.get()) is not None:
            outcome = action()
            if outcome is not None:
                self._done(outcome)


class Files:
    """Those of one node, in *directory*; *session* is the session's folder."""

    def __init__(self, directory: str, session: str, segments: Segments, room: Room) -> None:
        self.directory = directory
        self._session = session
        self._segments = segments
        self._room = room
        self._files: dict[int, DiskFile] = {}
        self._serial = 0
        self._pins = -1
        self._done: deque[Outcome] = deque()
        self._writer: _Hand | None = None
        self._reader: _Hand | None = None
        self._looking = False
        self.fd = -1
        """Readable when there are outcomes; -1 until a thread has begun."""
        self._bell = -1

    # -- files --------------------------------------------------------------------------

    def add(self, size: int) -> str:
        """Begin to make a file of *size* bytes; why that cannot be ('': it has begun)."""
        self._serial += 1
        serial = self._serial
        if not self._room.take(FILE_DESCRIPTORS):
            return self._room.told()

        def make() -> Outcome:
            outcome = Outcome()
            outcome.size = size
            try:
                outcome.file = self._make(size, serial)
            except OSError as error:
                outcome.why = f"{self.directory} takes no file: {sentence(error)}"
            outcome.left = left(self.directory)
            return outcome

        self._do(make)
        return ""

    def look(self) -> None:
        """Begin to see how much the disk has left."""
        if self._looking:
            return
        self._looking = True

        def look() -> Outcome:
            outcome = Outcome()
            outcome.left = left(self.directory)
            return outcome

        self._do(look)

    def _make(self, size: int, serial: int) -> DiskFile:
        try:
            return DiskFile(size, serial, self.directory, self._session)
        except FileNotFoundError:  # somebody has removed the folder: our files in it are still ours
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            return DiskFile(size, serial, self.directory, self._session)

    def drop(self, number: int) -> None:
        """Close a file."""
        dropped = self._files.pop(number, None)
        if dropped is not None:
            self._do(dropped.close)

    def reclaim(self, number: int, offset: int, size: int) -> None:
        """Give a range of a file back to the disk."""
        file = self._files.get(number)

        def punch() -> Outcome:
            outcome = Outcome()
            outcome.reclaimed = (number, offset)
            if file is not None:
                file.punch(offset, size)
            return outcome

        self._do(punch)

    def write(self, slot: Slot, start: int, frames: Iterable[bytes | memoryview]) -> None:
        """Write *frames* into *slot*, which is on disk, from its byte *start* on.

        Raises:
            OSError: the disk does not take it.
        """
        file = self._files.get(slot.segment)
        if file is None:
            return
        for frame in frames:
            piece = memoryview(frame)[: slot.size - start]
            file.write(slot.offset + start, piece)
            start += piece.nbytes

    def read(
        self, slot: Slot, start: int, size: int, then: Callable[[list[bytes], str], Any]
    ) -> None:
        """Begin to read so many bytes of *slot*, which is on disk, in frames for the wire.

        *then* is called by `outcomes` with them, or with none and why; not at all if it is gone.
        """
        file = self._files.get(slot.segment)
        if file is None:
            return
        first, end = slot.offset + start, slot.offset + start + size

        def read() -> Outcome:
            outcome = Outcome()
            outcome.read = then
            try:
                outcome.data = [
                    file.read(at, min(CHUNK, end - at)) for at in range(first, end, CHUNK)
                ]
            except OSError as error:  # closed meanwhile, too
                outcome.why = f"{self.directory} does not give it: {sentence(error)}"
            return outcome

        if self._reader is None:
            self._open_bell()
            self._reader = _Hand("nbray-disk-reader", self._tell)
        self._reader.do(read)

    # -- moving ---------------------------------------------------------------------------

    def make_pins(self) -> int:
        """The number of the file of pins; 0: this system has none."""
        if not self._room.take(1):
            return 0
        try:
            self._pins = pins.make()
        except OSError:
            return 0
        return self._pins

    def unpin(self, generation: int) -> None:
        """An object that was moved is no more."""
        with contextlib.suppress(OSError):
            pins.give_back(self._pins, generation)

    def spill(self, moves: tuple[Move, ...]) -> list[int]:
        """Begin to write what nobody uses; the generations of what somebody does."""
        used: list[int] = []
        going: list[tuple[Move, memoryview | None]] = []
        for move in moves:
            if self._taken(move):
                going.append((move, self._segments.view(move.slot)))
            else:
                used.append(move.slot.generation)
        if going:
            self._do(lambda: self._write_all(going))
        return used

    def _taken(self, move: Move) -> bool:
        """Whether nobody uses the object, so that nobody will where it lies now."""
        try:
            if not pins.take(self._pins, move.slot.generation):
                return False
            if not move.filler or not pins.is_held(self._pins, move.filler):
                return True
        except OSError:
            return False
        self.unpin(move.slot.generation)
        return False

    def _write_all(self, going: list[tuple[Move, memoryview | None]]) -> Outcome:
        """In the thread: after the first that cannot be written, none is tried."""
        outcome = Outcome()
        for move, data in going:
            generation = move.slot.generation
            file = self._files.get(move.to.segment)
            if outcome.why or file is None or data is None:
                outcome.failed.append(generation)
                outcome.why = outcome.why or "its file or its memory is gone"
                continue
            try:
                file.write(move.to.offset, data)
            except OSError as error:
                outcome.failed.append(generation)
                outcome.why = f"{self.directory} does not take it: {sentence(error)}"
            else:
                outcome.written.append(generation)
        for _, data in going:
            if data is not None:
                data.release()
        return outcome

    # -- the thread -------------------------------------------------------------------------

    def close(self) -> None:
        """Have the threads end after what they have to do."""
        for hand in (self._writer, self._reader):
            if hand is not None:
                hand.do(None)

    def _do(self, action: Callable[[], Outcome | None]) -> None:
        if self._writer is None:
            self._open_bell()
            self._writer = _Hand("nbray-disk", self._tell)
        self._writer.do(action)

    def _open_bell(self) -> None:
        if self.fd < 0:
            self.fd, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def _tell(self, outcome: Outcome) -> None:
        """In a thread: something was done."""
        self._done.append(outcome)
        with contextlib.suppress(OSError):  # full: it is readable
            os.write(self._bell, b".")

    def outcomes(self) -> Iterator[Outcome]:
        """What has been done since the last call."""
        with contextlib.suppress(OSError):
            while len(os.read(self.fd, 4096)) == 4096:
                pass
        while self._done:
            outcome = self._done.popleft()
            if outcome.file is not None:
                self._files[outcome.file.number] = outcome.file
            if outcome.left is not None:
                self._looking = False
            yield outcome
