"""Messages about objects that a node has moved from memory to disk, or is about to.

Part of the vocabulary of `messages`, which gathers and re-exports everything.
"""

from nbray.wire.parts import Message, Slot


class UsePins(Message):
    """The store fills up: from now on the client pins what it views and what it fills.

    Answered with `UsesPins`, once it does. `pins` says where (see `runtime.store.pins`).
    """

    pins: int


class UsesPins(Message):
    """The client does, or says in a sentence why it cannot."""

    why: str = ""


class Where(Message):
    """Where do the bytes of this object lie now? Answered with `Lies`, when they lie still."""

    token: int
    slot: Slot


class Lies(Message):
    """There (the generation is the object's own), or why nowhere any more."""

    token: int
    slot: Slot | None
    why: str = ""
