"""Objects, between clients: who holds references to whose, and where values lie.

Owns these messages. Does not own the store's (`cluster`): those are between a client and its node.
"""

from nbray.wire.parts import Message, Slot, Value


class Borrow(Message):
    """The sender holds references to these objects of the receiver's."""

    seqs: list[int]
    token: int = 0
    """Not 0: answer with `Borrowed`."""


class Borrowed(Message):
    """The owner has noted the borrow *token*."""

    token: int


class Release(Message):
    """The sender no longer holds these objects of the receiver's."""

    seqs: list[int]


class Locate(Message):
    """Tell the sender these objects of yours, each when it is ready."""

    seqs: list[int]


class Located(Message):
    """Objects of the sender's, ready or failed."""

    values: list[tuple[int, Value]]


class Unpinned(Message):
    """The receiver need no longer hold what these tasks' (or results') values refer to.

    Sent by a worker when every owner has acknowledged its borrows of references
    that the caller itself had only borrowed.
    """

    seqs: list[int]


class Moved(Message):
    """An object of the receiver's has a copy in a further slot."""

    seq: int
    slot: Slot


class CopiesGone(Message):
    """A node that was to bring objects of the receiver's found none of these copies.

    Those that have no other copy are made again, or fail: who waits for them asks again
    (`Locate`)."""

    copies: list[tuple[int, list[Slot]]]


class Leaving(Message):
    """The sender, a node, leaves, and has these copies of the receiver's objects."""

    slots: list[Slot]
    nodes: list[int]
    """Who may have copies instead."""


class Saved(Message):
    """The node that leaves need not wait for these: they are elsewhere, or nobody needs them."""

    slots: list[Slot]
    why: str = ""
    """Not '': why they could not be brought elsewhere."""


class Unclaimed(Message):
    """A worker died that had taken these slots for results of the receiver's tasks.

    Those of which the receiver knows nothing were never announced: it frees them."""

    slots: list[Slot]
