"""The books of what a node's store has on disk: which files, and which bytes of them.

Owns where on disk there is room, and its bound. Does not own which objects lie there
(`slots`), who goes there (`spilling`), nor the files (the shell makes, writes and drops
them). Rule: bytes are given away again only when the disk has them back (`reclaimed`):
what is still on its way would hit the next object.

Many objects share a file, one after the other: a file costs a descriptor for as long as
something lies in it. A file in which nothing lies any more is dropped as a whole.
"""

from __future__ import annotations

import msgspec

from nbray.config import SPILL_FILE
from nbray.figures import memory
from nbray.runtime.core.effects import DropFile, NodeEffect, Reclaim
from nbray.runtime.core.node.store.allocator import Allocator, pages


class NeedFile(msgspec.Struct, frozen=True, gc=False):
    """Make a file of `size` bytes, call `file_added`, and ask again."""

    size: int


class NoDisk(msgspec.Struct, frozen=True, gc=False):
    """The disk does not take it; `reason` is a sentence for the user."""

    reason: str
    told: str
    """The same of whatever comes: without sizes."""


class Disk:
    """Those of one node.

    Args:
        directory: where the files are, for sentences.
        limit: the most bytes that objects may take there; 0: what the disk has.

    Attributes:
        used: bytes that objects take, in whole pages.
        left: bytes that the disk has left for objects, when it was last looked at; None: it
            was not.
    """

    def __init__(self, directory: str, limit: int = 0, file: int = SPILL_FILE) -> None:
        self.directory = directory
        self.limit = limit
        self.used = 0
        self.left: int | None = None
        self._file = file
        self._files: dict[int, Allocator] = {}
        self._lying: dict[int, int] = {}
        """In how many pieces of each file something lies."""
        self._effects: list[NodeEffect] = []

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._files)

    def place(self, size: int) -> tuple[int, int] | NeedFile | NoDisk:
        """(file, offset) for *size* bytes, or what it takes to get them."""
        need = pages(size)
        refused = self.refuses(size)
        if refused is not None:
            return refused
        for number, allocator in self._files.items():
            offset = allocator.allocate(size)
            if offset is not None:
                self._lying[number] += 1
                self.used += need
                if self.left is not None:
                    self.left -= need
                return number, offset
        # The more there is, the larger the files: so there are never many.
        return NeedFile(max(self._file, need, pages(self.used // 16)))

    def refuses(self, size: int) -> NoDisk | None:
        """Why an object of *size* bytes may not go there; None: it may."""
        need = pages(size)
        if self.limit and self.used + need > self.limit:
            return NoDisk(
                f"{memory(self.used)} of it lie in {self.directory} already, and it may have "
                f"{memory(self.limit)} there (NBRAY_SPILL_LIMIT)",
                f"{self.directory} holds the {memory(self.limit)} that it may (NBRAY_SPILL_LIMIT)",
            )
        if self.left is not None and need > self.left:
            return NoDisk(
                f"the disk under {self.directory} has no room left for {memory(size)}: free some, "
                "or start the cluster with a folder on another disk "
                "(nbray.init(object_spilling_directory=...))",
                f"the disk under {self.directory} has no room left",
            )
        return None

    def file_added(self, number: int, size: int) -> None:
        """The file that `NeedFile` asked for exists, under this number."""
        assert number not in self._files, "a file's number is never used twice"
        self._files[number] = Allocator(size)
        self._lying[number] = 0

    def release(self, number: int, offset: int, size: int) -> None:
        """Nothing lies there any more: the disk gets it back, in a moment (see `effects`)."""
        self._lying[number] -= 1
        if not self._lying[number]:
            del self._lying[number]
            self.used -= self._files.pop(number).used
            self._effects.append(DropFile(number))
        else:
            self._effects.append(Reclaim(number, offset, pages(size)))

    def reclaimed(self, number: int, offset: int) -> None:
        """The disk has the range back."""
        allocator = self._files.get(number)
        if allocator is not None:  # else the file has been dropped since
            self.used -= allocator.free(offset)

    def drop_empty(self) -> None:
        """Drop the files in which nothing came to lie."""
        for number in [one for one, lying in self._lying.items() if not lying]:
            del self._lying[number]
            self.used -= self._files.pop(number).used
            self._effects.append(DropFile(number))

    def effects(self) -> list[NodeEffect]:
        """What is to be done, once."""
        if not self._effects:
            return []
        out, self._effects = self._effects, []
        return out

    def validate(self) -> None:
        """Assert the invariants; for tests."""
        assert set(self._files) == set(self._lying)
        for number, allocator in self._files.items():
            allocator.validate()
            assert len(allocator) >= self._lying[number]
        assert self.used == sum(one.used for one in self._files.values())
