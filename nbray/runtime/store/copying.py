"""Copies of large buffers: by several threads, with the GIL free.

Owns how many bytes one thread takes, and the end of the threads it starts. Does
not own what is copied where (`mappings`). Rule: when `copy` has returned or
raised, nobody writes into the target any more.

One thread copies about half of what two can. Each takes its share in as large
pieces as interrupts allow, because the C library goes past the caches only for
large ones, which doubles the speed again. A memoryview's own slices hold the
GIL, and numpy is not needed here: the C library is called through `ctypes`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = 2 << 20
"""Bytes that are copied at once, holding the GIL: 0.2 milliseconds."""
SHARE = 16 << 20
"""Bytes for which a thread of their own is worth its start."""
PIECE = 512 << 20
"""Bytes copied between two looks for an interrupt: 40 milliseconds."""
THREADS = 4
"""Most threads of one copy; more do not make memory faster."""


@cache
def _tools() -> tuple[Callable[[memoryview], int], Callable[[int, int, int], Any]]:
    """(address of a view's memory, memmove); ctypes is imported when it is first needed."""
    import ctypes

    class PyBuffer(ctypes.Structure):
        """`Py_buffer` of Python's stable ABI."""

        _fields_ = [
            ("buf", ctypes.c_void_p), ("obj", ctypes.py_object), ("len", ctypes.c_ssize_t),
            ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
            ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p),
            ("strides", ctypes.c_void_p), ("suboffsets", ctypes.c_void_p),
            ("internal", ctypes.c_void_p),
        ]  # fmt: skip

    get = ctypes.pythonapi.PyObject_GetBuffer
    get.argtypes = [ctypes.py_object, ctypes.POINTER(PyBuffer), ctypes.c_int]
    release = ctypes.pythonapi.PyBuffer_Release
    release.argtypes = [ctypes.POINTER(PyBuffer)]
    release.restype = None

    def address(view: memoryview) -> int:
        found = PyBuffer()
        get(view, ctypes.byref(found), 0)
        try:
            return found.buf or 0
        finally:
            release(ctypes.byref(found))

    return address, ctypes.memmove


def threads_for(size: int) -> int:
    """How many threads copy *size* bytes."""
    if size < 2 * SHARE:
        return 1
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, min(THREADS, cpus, size // SHARE))


def copy(target: memoryview, source: memoryview) -> None:
    """Copy *source* over *target*, flat byte views of the same length.

    Raises:
        KeyboardInterrupt: between two pieces; nothing is written after it.
    """
    size = source.nbytes
    if size <= SMALL:
        target[:] = source
        return
    address, move = _tools()
    to, start = address(target), address(source)
    threads = threads_for(size)
    share = -(-size // threads // 4096) * 4096
    step = min(share, PIECE)
    left = deque((at, min(step, size - at)) for at in range(0, size, step))

    def work() -> None:
        while left:
            try:
                at, length = left.popleft()
            except IndexError:
                return
            move(to + at, start + at, length)

    helpers = [threading.Thread(target=work, name="nbray-copy") for _ in range(threads - 1)]
    try:
        for helper in helpers:
            try:
                helper.start()
            except RuntimeError:
                break  # the system has no more threads: fewer do it
        work()
    finally:
        left.clear()
        _join(helpers)


def _join(threads: list[threading.Thread]) -> None:
    """Wait for *threads*, whatever comes meanwhile: a slot may be used again only after them."""
    late: BaseException | None = None
    while any(thread.is_alive() for thread in threads):
        try:
            for thread in threads:
                if thread.is_alive():
                    thread.join()
        except BaseException as error:  # noqa: BLE001 - an interrupt; raised below
            late = error
    if late is not None:
        raise late
