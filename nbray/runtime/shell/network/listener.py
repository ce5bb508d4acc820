"""A node's port while nobody has come: listened at, but without ZeroMQ.

Owns a listening socket of this machine, and stands in for `Lanes`. Rule: it
speaks to nobody. Whoever knocks waits in the kernel's queue until `open` has
made the lanes, which take the socket over and let nobody in without the secret.
A cluster that stays alone never pays for them: loading ZeroMQ takes longer than
all else that its node does before it serves.
"""

from __future__ import annotations

import socket
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from nbray.runtime.shell.network.lane_events import Event, Lane

if TYPE_CHECKING:
    from nbray.runtime.shell.network.lanes import Lanes
    from nbray.wire.secret import Secret


class Door:
    """The port of node *number* on a loopback address, until `open`."""

    def __init__(self, secret: Secret, number: int) -> None:
        self._secret = secret
        self.number = number
        self._socket: socket.socket | None = None
        self._ip = ""
        self._port = 0

    @property
    def fd(self) -> int:
        """Readable when somebody knocks (-1: not bound)."""
        return self._socket.fileno() if self._socket is not None else -1

    def bind(self, ip: str, port: int = 0) -> tuple[str, int]:
        """Listen at the port (0: any free one) on *ip*; where it is.

        Raises:
            OSError: it is taken, or *ip* is not this machine's.
        """
        self._socket = socket.create_server((ip, port), backlog=256)
        self._socket.setblocking(False)
        self._ip = ip
        self._port = int(self._socket.getsockname()[1])
        return ip, self._port

    def open(self) -> Lanes:
        """The lanes, at the same port; whoever has knocked is let in if he may."""
        from nbray.runtime.shell.network.lanes import Lanes, make_context

        lanes = Lanes(make_context(), self._secret, self.number)
        if self._socket is not None:
            lanes.take_over(self._ip, self._port, self._socket.detach())
            self._socket = None
        return lanes

    # What `Lanes` does, for one that has no peers.

    @property
    def sockets(self) -> list[object]:
        """Nothing of ZeroMQ's."""
        return []

    def receive(
        self, limit: int = 1000, ready: Container[object] | None = None
    ) -> list[Event]:
        """Nothing has happened."""
        return []

    def send(self, peer: int, lane: Lane, frames: Sequence[bytes | memoryview]) -> bool:
        """No path stands."""
        return False

    def dial(self, peer: int, address: str) -> None:
        """Not from here: whoever has peers has opened the door."""
        raise AssertionError("the door was not opened before a peer was dialled")

    def adopt(self, peer: int, number: int) -> None:
        """There is nobody to adopt."""

    def forget(self, peer: int) -> None:
        """There is nobody to forget."""

    def tick(self, now: float) -> None:
        """Nothing is due."""

    def next_deadline(self) -> float | None:
        """Nothing is planned."""
        return None

    def lines(self) -> list[str]:
        """Nobody was refused."""
        return []

    def close(self) -> None:
        """Listen no longer."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
