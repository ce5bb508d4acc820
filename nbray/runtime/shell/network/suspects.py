"""Whether a node whose connections have closed is dead: its machine is asked, who knows at once.

Owns the short connections by which its port is tried. Does not own links, nor
silence (`core.network.link`), which decides wherever this cannot. Rule: a node is dead
only if its machine says, twice, that nobody listens at the port at which it
was reached before. A cable that is out, a machine that sleeps, a firewall or
an address behind one say nothing of the kind, and cost nobody his place.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable

from nbray.runtime.shell.network.address import parse_address

FIRST_LOOK = 0.15
"""Seconds after which a closed connection's port is tried: who lives dials again at once."""
BETWEEN = 0.3
"""Seconds between two tries."""
LOOKS = 0.05
"""Seconds between looks at a try."""
PATIENCE = 2.0
"""Seconds after which a try that is not answered says nothing."""
REFUSALS = 2


class _Try:
    """A port being tried; *due* is when there is something to do."""

    __slots__ = ("due", "refusals", "socket", "suspected", "until")

    def __init__(self, due: float, suspected: bool) -> None:
        self.due = due
        self.suspected = suspected
        self.socket: socket.socket | None = None
        self.until = 0.0
        self.refusals = 0

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Suspects:
    """Nodes by number; *address* gives the host:port of one that is not known to be dead."""

    def __init__(self, address: Callable[[int], str]) -> None:
        self._address = address
        self._reached: set[int] = set()
        """Those whose port can be reached from here."""
        self._tries: dict[int, _Try] = {}

    def stands(self, peer: int, now: float) -> None:
        """A connection with the node stands (again)."""
        self._drop(peer)
        if peer not in self._reached:
            self._tries[peer] = _Try(now + BETWEEN, suspected=False)

    def broke(self, peer: int, now: float) -> None:
        """The last connection with the node has closed."""
        self._drop(peer)
        if peer in self._reached:
            self._tries[peer] = _Try(now + FIRST_LOOK, suspected=True)

    def forget(self, peer: int) -> None:
        """The node is gone."""
        self._drop(peer)
        self._reached.discard(peer)

    def _drop(self, peer: int) -> None:
        one = self._tries.pop(peer, None)
        if one is not None:
            one.close()

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min((one.due for one in self._tries.values()), default=None)

    def tick(self, now: float) -> list[int]:
        """Go on with what is due; nodes that are dead."""
        dead = []
        for peer, one in list(self._tries.items()):
            if one.due > now:
                continue
            if one.socket is None:
                code = self._begin(peer, one, now)
            else:
                code = _outcome(one.socket)
            if code == errno.EINPROGRESS and now < one.until:
                one.due = now + LOOKS
                continue
            one.close()
            if code == 0:
                self._reached.add(peer)
            if code == errno.EDESTADDRREQ and not one.suspected:
                one.due = now + PATIENCE  # who has just joined does not know all addresses yet
                continue
            if code != errno.ECONNREFUSED or not one.suspected:
                del self._tries[peer]
                continue
            one.refusals += 1
            one.due = now + BETWEEN
            if one.refusals >= REFUSALS:
                del self._tries[peer]
                dead.append(peer)
        return dead

    def _begin(self, peer: int, one: _Try, now: float) -> int:
        one.until = now + PATIENCE
        address = self._address(peer)
        if not address:
            return errno.EDESTADDRREQ
        try:
            host, port = parse_address(address)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            one.socket = socket.socket(family, socket.SOCK_STREAM)
            one.socket.setblocking(False)
            code = one.socket.connect_ex((host, port))
        except (OSError, ValueError):  # no descriptor, for example: nothing is known
            return errno.EIO
        return errno.EINPROGRESS if code == errno.EAGAIN else code

    def close(self) -> None:
        """Try nothing any more."""
        for peer in list(self._tries):
            self._drop(peer)


def _outcome(stream: socket.socket) -> int:
    """The error number of a connection attempt, EINPROGRESS while there is none, 0 for success."""
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    if not poll.poll(0):
        return errno.EINPROGRESS
    return stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
