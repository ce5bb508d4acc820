"""One object as a client knows it: its states, and who is told when it is ready.

Owns the record. Does not own what becomes of it: its fields are assigned by `objects.Objects`
alone.
"""

from __future__ import annotations

from typing import Any, Protocol

from nbray.wire.messages import Ref, Slot

PENDING, READY, STORED, FAILED, LIFE = range(5)
"""States of an entry: to be made; bytes in this process; in slots of the store; an error;
the life-reference of an actor, which has no value."""
NEXT = {
    PENDING: (READY, STORED, FAILED, LIFE),
    READY: (),
    STORED: (PENDING,),
    FAILED: (),
    LIFE: (),
}
"""What may follow a state; what was stored is pending again when its last copy is gone.
`settle`, which every small result passes, does not look it up: whoever calls it has seen that
the entry is pending."""


class Waiter(Protocol):
    """Something that waits for entries: a `get`, a task's arguments, a remote client."""

    def settle(self, entry: Entry) -> None:
        """*entry* is no longer pending. Called once an entry it was put on."""


class Entry:
    """One object. `value` is bytes when READY, a `Value` when STORED or FAILED.

    Others read it; what is assigned after its beginning is assigned by `Objects`.
    """

    __slots__ = ("asked", "borrowers", "count", "key", "local", "maker", "refs", "state",
                 "value", "waiters")  # fmt: skip

    def __init__(self, key: Ref, count: int, state: int = PENDING, value: Any = None) -> None:
        self.key = key
        self.count = count
        self.state = state
        self.value = value
        self.waiters: Any = None
        """None, one waiter, or a list of them."""
        self.borrowers: set[int] | None = None
        self.refs: tuple[Ref, ...] = ()
        """References inside the value, held as long as the entry lives."""
        self.maker: Any = None
        """The task that makes it (kept while stored: lineage)."""
        self.asked = False
        """Foreign: `Locate` was sent."""
        self.local: Slot | None = None
        """The slot on this node, once known."""

    def put_waiter(self, waiter: Waiter) -> None:
        """Have *waiter* told when this, which is pending, is ready."""
        if self.waiters is None:
            self.waiters = waiter
        elif type(self.waiters) is list:
            self.waiters.append(waiter)
        else:
            self.waiters = [self.waiters, waiter]

    def remove_waiter(self, waiter: Waiter) -> None:
        """Forget *waiter* (a `get` that timed out)."""
        if self.waiters is waiter:
            self.waiters = None
        elif type(self.waiters) is list:
            self.waiters = [other for other in self.waiters if other is not waiter] or None
