"""Which bytes of one range are free: pages, first fit, neighbours merged.

Owns one range's free and used blocks. Does not own memory, generations or
objects (`slots`). Rule: pure; the lowest free block that fits is taken, so
that pages already touched are used again before fresh ones (a fresh page
costs ten times the copy into it).
"""

from __future__ import annotations

from bisect import bisect_left

PAGE = 4096


def pages(size: int) -> int:
    """*size* in bytes rounded up to whole pages, at least one."""
    return max(PAGE, (size + PAGE - 1) // PAGE * PAGE)


class Allocator:
    """Hands out blocks of `capacity` bytes, by offset.

    Attributes:
        capacity: bytes of the range, whole pages.
        used: bytes in blocks handed out, in whole pages.
    """

    __slots__ = ("_free", "_sizes", "_starts", "capacity", "used")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity // PAGE * PAGE
        self.used = 0
        self._sizes: dict[int, int] = {}
        # The free blocks in order: where each starts, and how long it is.
        self._starts: list[int] = [0] if self.capacity else []
        self._free: list[int] = [self.capacity] if self.capacity else []

    def __len__(self) -> int:
        """How many blocks are handed out."""
        return len(self._sizes)

    @property
    def largest(self) -> int:
        """Bytes of the largest free block: what still fits."""
        return max(self._free, default=0)

    def allocate(self, size: int) -> int | None:
        """The offset of a block of at least *size* bytes; None if none is long enough."""
        need = pages(size)
        if need > self.capacity - self.used:
            return None
        index = next((i for i, length in enumerate(self._free) if length >= need), None)
        if index is None:
            return None
        length = self._free[index]
        offset = self._starts[index]
        if length == need:
            del self._starts[index], self._free[index]
        else:
            self._starts[index] = offset + need
            self._free[index] = length - need
        self._sizes[offset] = need
        self.used += need
        return offset

    def free(self, offset: int) -> int:
        """Take back the block at *offset*; its bytes.

        Raises:
            KeyError: no block handed out begins there.
        """
        size = self._sizes.pop(offset)
        self.used -= size
        starts, free = self._starts, self._free
        index = bisect_left(starts, offset)
        if index < len(starts) and starts[index] == offset + size:
            length = size + free[index]
            del starts[index], free[index]
        else:
            length = size
        if index and starts[index - 1] + free[index - 1] == offset:
            free[index - 1] += length
        else:
            starts.insert(index, offset)
            free.insert(index, length)
        return size

    def validate(self) -> None:
        """Assert the invariants; for tests."""
        blocks = sorted(
            [(start, length, True) for start, length in zip(self._starts, self._free, strict=True)]
            + [(start, length, False) for start, length in self._sizes.items()]
        )
        position, last_free = 0, False
        for start, length, is_free in blocks:
            assert start == position, f"hole or overlap at {position}"
            assert length > 0
            assert length % PAGE == 0
            assert not (is_free and last_free), f"free neighbours not merged at {start}"
            position, last_free = start + length, is_free
        assert position == self.capacity
        assert self.used == sum(self._sizes.values())
