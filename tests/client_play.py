"""A client's brain without processes, for tests of the shells around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nbray.ids import DRIVER_FLAG, client_id
from nbray.runtime.core.client import ClientBrain
from nbray.wire import messages as m

ME = client_id(1, DRIVER_FLAG | 1)


class FakeLoop:
    """A client's loop that sends nothing: what would go is in `sent`."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.now = time.monotonic

    def flush(self) -> None:
        """Nothing has arrived."""

    def locked(self, action: Callable[[], Any]) -> None:
        self.sent += action()


def brain_of_two_nodes() -> ClientBrain:
    """A driver's brain that knows two nodes, of which the second has ended."""
    brain = ClientBrain(ME, 1, lambda *_: b"")
    for number, alive in ((1, True), (2, False)):
        brain.members[number] = m.NodeInfo(number, "host", "127.0.0.1", 1, {}, {}, alive=alive)
    return brain
