"""Segments: shared memory that the node creates and every process of its user maps.

Owns creating, attaching and mapping, and read-only views that tell when they
end. Does not own what lies where (`books`). Rule: nothing is ever closed under
a view; dropping a segment means dropping the reference to it, and the memory
goes when the last view goes. On Linux a segment is a memfd, opened by others
through the node's `/proc` entry, so the kernel frees it however everybody
ends; elsewhere it is a file in the run directory, unlinked when dropped. A
file on disk that the node has made (`files`) is attached in the same way.
"""

from __future__ import annotations

import errno
import mmap
import os
import weakref
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbray.runtime.store.copying import copy
from nbray.wire.messages import ON_DISK

if TYPE_CHECKING:
    import ctypes

MEMFD: Final = hasattr(os, "memfd_create")
_FD_BITS = 20
SEGMENT_DESCRIPTORS = 2
"""What a segment takes of the node that creates it: its own, and that of Python's map."""
NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
GRAIN = 1 << 16
"""Bytes about which a process remembers together whether it has written there."""
_WRITE = 64 << 20
"""Bytes written between two looks for an interrupt: 30 milliseconds."""


class SegmentGone(OSError):
    """The segment has been dropped, or its node is dead."""


def segment_path(segment: int, node_pid: int, folder: str) -> str:
    """Where other processes open segment number *segment*.

    Args:
        segment: number as in `Slot.segment`.
        node_pid: pid of the node that created it.
        folder: the node's run directory, used where there are no memfds.
    """
    descriptor = segment & ((1 << _FD_BITS) - 1)
    if descriptor:
        return f"/proc/{node_pid}/fd/{descriptor}"
    return f"{folder}/{'disk' if segment & ON_DISK else 'segment'}-{_serial(segment)}"


def file_number(serial: int, descriptor: int) -> int:
    """The number of the file on disk that a node has under *descriptor* (0: by its name)."""
    return ON_DISK | serial << _FD_BITS | descriptor


def _serial(segment: int) -> int:
    return (segment & ~ON_DISK) >> _FD_BITS


def _open(segment: int, path: str) -> int:
    """A descriptor of a segment, and of nothing else.

    Raises:
        SegmentGone: it is not there any more.
        OSError: this process has no descriptor for it.
    """
    try:
        # Whatever took the descriptor's place must not make us wait.
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in NO_DESCRIPTOR:
            raise
        raise SegmentGone(error.errno, f"segment {segment} cannot be opened", path) from error
    # The node may have reused the descriptor for something else since.
    if path.startswith("/proc/"):
        target = str(Path(f"/proc/self/fd/{descriptor}").readlink()).removesuffix(" (deleted)")
        if segment & ON_DISK:
            right = Path(target).name.startswith(f"{_name(segment)}-")
        else:
            right = target == f"/memfd:{_name(segment)}"
        if not right:
            os.close(descriptor)
            raise SegmentGone(f"segment {segment} has been dropped")
    return descriptor


def write(descriptor: int, offset: int, data: memoryview) -> None:
    """Write all of *data* there.

    Raises:
        OSError: the system does not take it.
    """
    position = 0
    while position < data.nbytes:
        piece = data[position : position + _WRITE]
        position += os.pwrite(descriptor, piece, offset + position)


def _name(segment: int) -> str:
    return f"nbray-{_serial(segment)}"


@cache
def _exporter(size: int) -> type[ctypes.Array[ctypes.c_char]]:
    """A buffer of *size* bytes that can be weakly referenced; few sizes exist."""
    import ctypes

    return ctypes.c_char * size


class Segment:
    """One piece of shared memory, mapped into this process.

    Attributes:
        id: its number; on Linux it contains the creator's descriptor.
        size: bytes.
        path: where others open it.
    """

    __slots__ = ("__weakref__", "_descriptor", "_map", "_touched", "id", "path", "size")

    def __init__(self, number: int, size: int, path: str, descriptor: int) -> None:
        self.id = number
        self.size = size
        self.path = path
        self._map = mmap.mmap(descriptor, size)
        self._descriptor = -1
        self._touched = 0
        """A bit for each `GRAIN` into which this process has written."""

    @classmethod
    def create(cls, size: int, serial: int, folder: str = "", *, memfd: bool = MEMFD) -> Segment:
        """Make and map a segment; its pages come into being when they are touched.

        Args:
            size: bytes, whole pages.
            serial: a positive number this node has not used before.
            folder: the run directory; needed where there are no memfds.
            memfd: whether to use one.

        Raises:
            OSError: the system has no memory, descriptors or disk for it.
        """
        if memfd:
            descriptor = os.memfd_create(f"nbray-{serial}", os.MFD_CLOEXEC)
            number = serial << _FD_BITS | descriptor
            if not 0 < descriptor < 1 << _FD_BITS:
                os.close(descriptor)
                raise OSError(f"descriptor {descriptor} cannot name a segment")
        else:
            number = serial << _FD_BITS
            path = segment_path(number, 0, folder)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
            segment = cls(number, size, segment_path(number, os.getpid(), folder), descriptor)
        except BaseException:
            os.close(descriptor)
            if not memfd:
                Path(path).unlink()
            raise
        if memfd:
            # Others open it through this descriptor, so it stays open.
            segment._descriptor = descriptor
        else:
            os.close(descriptor)
        return segment

    @classmethod
    def attach(cls, number: int, path: str, size: int | None = None) -> Segment:
        """Map a segment that another process created.

        Raises:
            SegmentGone: it is not there any more.
            OSError: this process has no descriptor for it.
        """
        descriptor = _open(number, path)
        try:
            found = os.fstat(descriptor).st_size
            if not found or (size is not None and found < size):
                raise SegmentGone(f"segment {number} has {found} bytes, not {size}")
            return cls(number, found, path, descriptor)
        finally:
            os.close(descriptor)  # the map has its own

    def view(self, offset: int, size: int) -> memoryview:
        """Writable bytes, for whoever fills the slot; nothing tells when the view ends."""
        return memoryview(self._map)[offset : offset + size]

    @property
    def address(self) -> int:
        """Where it is mapped in this process."""
        import ctypes

        return ctypes.addressof(_exporter(self.size).from_buffer(self._map))

    def readonly(
        self, offset: int, size: int, on_release: Callable[[], object] | None = None
    ) -> memoryview:
        """Read-only bytes; *on_release* is called once, when the last view over them is gone.

        It is called in any thread and inside garbage collection, so it may do no
        more than append to a deque. At the interpreter's end it is not called.
        """
        exporter = _exporter(self.size).from_buffer(self._map)
        if on_release is not None:
            weakref.finalize(exporter, on_release).atexit = False
        return memoryview(exporter).cast("B")[offset : offset + size].toreadonly()

    def fill(self, offset: int, pieces: Iterable[tuple[int, bytes | memoryview]]) -> None:
        """Write *pieces*, each with its place behind *offset*, where nobody reads yet.

        Pages that this process has not written before are costly to map, ten times
        the copy into them if they do not exist yet: there the system is asked to
        write, which costs half. From the second time on it is a plain copy.

        Raises:
            OSError: the system has no memory or disk for it.
            SegmentGone: it has been dropped.
        """
        opened, descriptor = False, self._descriptor
        on_disk = bool(self.id & ON_DISK)  # written by calls alone (see `files`)
        try:
            for place, piece in pieces:
                start = offset + place
                size = piece.nbytes if isinstance(piece, memoryview) else len(piece)
                if size < GRAIN and not on_disk:
                    self._map[start : start + size] = piece
                elif not on_disk and self._is_touched(start, size):
                    copy(self.view(start, size), memoryview(piece))
                else:
                    if descriptor < 0:
                        opened, descriptor = True, _open(self.id, self.path)
                    write(descriptor, start, memoryview(piece))
        finally:
            if opened:
                os.close(descriptor)

    def _is_touched(self, offset: int, size: int) -> bool:
        """Whether this process has written all of it before; notes that it has now."""
        first, last = offset // GRAIN, (offset + size - 1) // GRAIN
        grains = ((1 << (last - first + 1)) - 1) << first
        touched = self._touched & grains == grains
        self._touched |= grains
        return touched

    def discard(self, start: int, size: int) -> None:
        """Give whole pages back to the system, though other processes may still map them.

        They keep mappings for reuse and are not told; views would read zeros. It
        takes 0.2 seconds a gigabyte: see `discarding`.
        """
        remove: Any = getattr(mmap, "MADV_REMOVE", None)
        if remove is not None and self._descriptor >= 0:
            try:
                self._map.madvise(remove, start, size)
            except OSError:
                pass  # the memory goes with the last mapping instead

    def close(self) -> None:
        """The creator's end of a segment: nobody can attach any more. Idempotent.

        Views stay valid; the memory goes with the last mapping, unless `discard` gave it back.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        elif not self.path.startswith("/proc/"):
            Path(self.path).unlink(missing_ok=True)
