"""The books in the plain types that the node's brain knows.

Owns nothing: it translates `StoreBooks`' answers, so that `runtime.core` need
not import the store. A slot spoken of twice (`StaleFree`) changes nothing and
is only counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from nbray.runtime.store.books import DropSegment, Effect, NeedSegment, StoreBooks
from nbray.wire.messages import Slot


class Keeper:
    """`nbray.runtime.core.storage.Books` over `StoreBooks`.

    Attributes:
        stale: how many slots were freed that were free already.
    """

    def __init__(self, capacity: int, node: int, arena: int = 0) -> None:
        self._books = StoreBooks(capacity, node, arena)
        self.stale = 0

    @property
    def used(self) -> int:
        """Bytes that objects take."""
        return self._books.used

    @property
    def capacity(self) -> int:
        """Bytes that objects may take."""
        return self._books.capacity

    def allocate(self, owner: int, size: int, writer: int) -> Slot | tuple[int, list[int]] | str:
        """A slot; or the size of the segment it takes and segments to drop; or why it won't fit."""
        result = self._books.allocate(owner, size, writer)
        if isinstance(result, Slot):
            return result
        if isinstance(result, NeedSegment):
            return result.size, list(result.drop)
        return result.reason

    def segment_added(self, segment: int, size: int) -> None:
        """The segment exists."""
        self._books.segment_added(segment, size)

    def free(self, slot: Slot) -> list[int]:
        """Free a slot; segments to drop."""
        return self._drops(self._books.free(slot))

    def is_live(self, slot: Slot) -> bool:
        """Whether the slot still holds what it held."""
        return self._books.is_live(slot)

    def owned(self) -> Collection[int]:
        """The owners of all objects here."""
        return list(self._books.owners())

    def owner_died(self, owner: int, clients: Collection[int]) -> tuple[list[Slot], list[int]]:
        """Slots to ask the clients about; segments to drop."""
        slots, effects = self._books.owner_died(owner, clients)
        return slots, self._drops(effects)

    def release_held(self, client: int, owner: int, still: Iterable[Slot]) -> list[int]:
        """A client's answer; segments to drop."""
        return self._drops(self._books.release_held(client, owner, still))

    def client_died(self, client: int) -> list[int]:
        """A client is dead; segments to drop."""
        return self._drops(self._books.client_died(client))

    def sweep(self, now: float) -> list[int]:
        """Segments to drop because nobody has used them for a while."""
        return self._drops(self._books.sweep(now))

    def next_deadline(self, now: float) -> float | None:
        """When `sweep` has something to do."""
        return self._books.next_deadline(now)

    def relieve(self) -> list[int]:
        """Every segment that is spare; to drop."""
        return self._drops(self._books.relieve())

    def validate(self) -> None:
        """Assert the invariants."""
        self._books.validate()

    def _drops(self, effects: Sequence[Effect]) -> list[int]:
        drops = [effect.id for effect in effects if isinstance(effect, DropSegment)]
        self.stale += len(effects) - len(drops)
        return drops
