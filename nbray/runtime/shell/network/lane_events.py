"""What happens on the lanes between machines, as data (`lanes` makes it happen).

Owns the vocabulary only, so that a node without company need not load ZeroMQ.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec


class Lane(enum.IntEnum):
    """Which of a link's two connections."""

    CONTROL = 0
    BULK = 1


class Connected(msgspec.Struct, frozen=True):
    """A lane to the peer stands (again): replay what is not acknowledged."""

    peer: int
    lane: Lane


class Disconnected(msgspec.Struct, frozen=True):
    """A lane to the peer was lost. `still` says whether another path carries it."""

    peer: int
    lane: Lane
    still: bool


class Refused(msgspec.Struct, frozen=True):
    """A peer that we dialled has another secret, or is no node.

    Reported once until the lane stands; dialling goes on. (Of those who knock at
    our port `Lanes.lines` tells.)
    """

    peer: int
    lane: Lane
    address: str


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A message. Frames are bytes on the control lane, memoryviews on the bulk lane."""

    peer: int
    lane: Lane
    frames: list[bytes | memoryview]


Event: TypeAlias = Connected | Disconnected | Refused | Arrived
