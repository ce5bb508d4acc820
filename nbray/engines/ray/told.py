"""What workers tell the process on whose behalf they work: the vocabulary of a mailbox.

Owns the messages. Rule: a batch is what one process had to tell within 50 ms; what it prints comes
before the end of the call that printed it.
"""

from __future__ import annotations

from typing import Any

import msgspec

DONE, FAILED, CANCELLED, AGAIN = range(4)
"""How a call ended; AGAIN: with an error for which Ray may try again."""


class Began(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A call runs from now on."""

    call: int
    """Its number, see `Head.call`."""
    cell: str
    name: str
    counted: bool
    main: bool
    """It runs in the process's main thread, and can be interrupted."""
    method: bool = False
    """It is an actor's."""


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A call has ended."""

    call: int
    cell: str
    how: int
    micros: int
    """Microseconds that it took."""
    cpu: int = 0
    """Microseconds of CPU, of its process (0: unknown)."""
    counted: bool = True
    why: str = ""
    """Its error, in one line."""


class Launched(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A running call has submitted others, on the same cell's behalf."""

    cell: str
    call: int


class Said(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Text that was printed."""

    cell: str
    task: str
    stream: str
    text: str


class Showed(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Something rich that was shown (see `nbray.events.Display`)."""

    cell: str
    task: str
    data: dict[str, Any]
    metadata: dict[str, Any]
    display_id: str
    update: bool


class Yielded(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Calls of a cell have yielded values."""

    cell: str
    count: int


Told = Began | Ended | Launched | Said | Showed | Yielded


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """From one process."""

    node: str
    """Ray's id of its node, in hexadecimal digits."""
    ip: str
    pid: int
    told: list[Told]


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Batch).decode
