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
NodeEffect = (
    Send | SendBulk | WriteSlot | Fork | Kill | Forget | WatchPid | AddSegment | DropSegment
    | Listen | Outlive | Stop | Log
)  # fmt: skip
"""What a node does."""
