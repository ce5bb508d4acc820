"""What brains ask their shells to do: the whole vocabulary of doing.

A brain's `handle`, `tick` and calls return lists of these; the shell carries
them out in order. Nothing else connects a brain to the world.
"""

from __future__ import annotations

from typing import Any, dataclass_transform

import msgspec

from nbray.wire.messages import Slot


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Effect(msgspec.Struct, frozen=True, gc=False):
    """Base of all effects."""


class Send(Effect):
    """Send a message to a client, node or head, wherever it lives."""

    to: int
    message: Any


class SendBulk(Effect):
    """Send a message with bytes of a slot in a frame of their own, on the bulk lane."""

    to: int
    message: Any
    slot: Slot
    start: int
    size: int


class WriteSlot(Effect):
    """Write the bulk frame that came with the message in hand into a slot."""

    slot: Slot
    start: int


class Fork(Effect):
    """Have root fork a worker under this client id."""

    worker: int
    threads: int
    """For OMP_NUM_THREADS."""


class Kill(Effect):
    """Have root end a worker's process at once."""

    worker: int


class Forget(Effect):
    """Close what leads to a dead or departed peer."""

    client: int


class WatchPid(Effect):
    """Tell the brain when this process of a client ends (`client_gone`)."""

    client: int
    pid: int


class Dial(Effect):
    """Open a link to a node."""

    node: int
    ip: str
    port: int


class AddSegment(Effect):
    """Create a shared-memory segment of this size and tell the brain its number."""

    size: int


class DropSegment(Effect):
    """Close a segment."""

    segment: int


class Listen(Effect):
    """Bind the TCP port on this address as well, and tell the brain the outcome."""

    token: int
    client: int
    ip: str


class Outlive(Effect):
    """Have this machine's part outlive the process that started it, or end with it again."""

    on: bool


class Stop(Effect):
    """End this process's loop; *why* goes to the log."""

    why: str
    again: bool = False
    """A node that has lost its cluster: its machine is to join it anew, as another node."""


class Log(Effect):
    """A line for the log of this process."""

    text: str
