"""The one line by which a program that was started answers whoever started it.

Owns reading it. Does not own what it says. Rule: who reads neither waits for
ever nor blocks in the read.
"""

from __future__ import annotations

import os
import select
import time


def read_line(descriptor: int, deadline: float) -> bytes:
    """One line, b'' at the end of the stream or of time (*deadline*, of `time.monotonic`)."""
    line = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return b""
        part = os.read(descriptor, 65536)
        if not part:
            return b""
        line += part
    return line
