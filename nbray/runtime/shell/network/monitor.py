"""Reading what ZeroMQ's socket monitors say.

Stands in for `zmq.utils.monitor`, which imports asyncio: 12 ms at the start of
every node, and memory that no node needs.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_EVENT = struct.Struct("=hi")


def parse_monitor_message(frames: Sequence[bytes]) -> tuple[int, int, str]:
    """(event, value, endpoint) of one message of a monitor socket.

    Raises:
        ValueError: it is none.
    """
    if len(frames) != 2 or len(frames[0]) != _EVENT.size:
        raise ValueError(f"not a monitor's message: {frames!r}")
    event, value = _EVENT.unpack(frames[0])
    return event, value, frames[1].decode(errors="replace")
