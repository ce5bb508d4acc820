"""What brains ask their shells to do: the whole vocabulary of doing.

A brain's `handle`, `tick` and calls return lists of these; the shell carries
them out in order. Nothing else connects a brain to the world. What the shell of a
client, of the head and of a node can do is said by three unions at the end: a brain
that asks for more does not type-check.
"""

from __future__ import annotations

from typing import Any, dataclass_transform, final

import msgspec

from nbray.wire.messages import Slot


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Effect(msgspec.Struct, frozen=True, gc=False):
    """Base of all effects."""


@final
class Send(Effect):
    """Send a message to a client, node or head, wherever it lives."""

    to: int
    message: Any


@final
class SendBulk(Effect):
    """Send a message with bytes of a slot in a frame of their own, on the bulk lane."""

    to: int
    message: Any
    slot: Slot
    start: int
    size: int


@final
class WriteSlot(Effect):
    """Write the bulk frame that came with the message in hand into a slot."""

    slot: Slot
    start: int


@final
class Fork(Effect):
    """Have root fork a worker under this client id."""

    worker: int
    threads: int
    """For OMP_NUM_THREADS."""


@final
class Kill(Effect):
    """Have root end a worker's process at once."""

    worker: int


@final
class Forget(Effect):
    """Close what leads to a dead or departed peer."""

    client: int


@final
class WatchPid(Effect):
    """Tell the brain when this process of a client ends (`client_gone`)."""

    client: int
    pid: int


@final
class AddSegment(Effect):
    """Create a shared-memory segment of this size and tell the brain its number."""

    size: int


@final
class DropSegment(Effect):
    """Close a segment."""

    segment: int


@final
class AddFile(Effect):
    """Make a file on disk that many objects share, of this size, and tell the brain its number."""

    size: int


@final
class DropFile(Effect):
    """Close a file, in which nothing lies any more."""

    number: int


@final
class Reclaim(Effect):
    """Give this range of a file back to the disk, and tell the brain when it is done."""

    number: int
    offset: int
    size: int


@final
class MakePins(Effect):
    """Make the file in which clients pin what they use, and tell the brain its number."""


@final
class Unpin(Effect):
    """The object of this generation is no more: nobody will pin it."""

    generation: int


class Move(msgspec.Struct, frozen=True, gc=False):
    """An object that is to move to disk."""

    slot: Slot
    to: Slot
    """Where it shall lie; the generation is the object's own."""
    filler: int
    """The pin of the client that filled it: while it holds, the object is not whole."""


@final
class Spill(Effect):
    """Move objects to disk that nobody uses, and tell the brain which were: now which are in use,
    later, when they were written, which could be."""

    moves: tuple[Move, ...]


@final
class Listen(Effect):
    """Bind the TCP port on this address as well, and tell the brain the outcome."""

    token: int
    client: int
    ip: str


@final
class Outlive(Effect):
    """Have this machine's part outlive the process that started it, or end with it again."""

    on: bool


@final
class Stop(Effect):
    """End this process's loop; *why* goes to the log."""

    why: str
    again: bool = False
    """A node that has lost its cluster: its machine is to join it anew, as another node."""


@final
class Log(Effect):
    """A line for the log of this process."""

    text: str


ClientEffect = Send | Forget
"""What a driver or worker does for its brain."""
HeadEffect = Send
"""What the head does."""
StoreEffect = (
    AddSegment | DropSegment | AddFile | DropFile | Reclaim | MakePins | Unpin | Spill
)  # fmt: skip
"""What a node does for its store."""
NodeEffect = (
    Send | SendBulk | WriteSlot | Fork | Kill | Forget | WatchPid | AddSegment | DropSegment
    | AddFile | DropFile | Reclaim | MakePins | Unpin | Spill | Listen | Outlive | Stop | Log
)  # fmt: skip
"""What a node does."""
