"""The links of one node to all others: reliable control and idempotent bulk over the lanes.

Owns which `Link` belongs to which peer, and carrying one over the other. Does
not own meaning: what arrives is handed out as frames. Rule: a link that is
dead or stale is gone for good, and its peer is reported lost once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nbray.runtime.core.link import Link, Payload, refusal
from nbray.runtime.shell.door import Door
from nbray.runtime.shell.lane import Arrived, Connected, Disconnected, Lane, Refused

if TYPE_CHECKING:
    from nbray.runtime.shell.lanes import Lanes

LATE_MESSAGES = 16
"""Bulk messages (of a chunk each) that wait for a lane."""


class Received(msgspec.Struct):
    """What came of one look at the lanes."""

    control: list[tuple[int, Payload]] = []
    """(peer, frames), in order for each peer."""
    bulk: list[tuple[int, Payload]] = []
    lost: list[tuple[int, str]] = []
    """Peers whose link has ended, and why."""
    log: list[str] = []


class Links:
    """All links over *lanes*. *address* gives a node's host:port, '' if it is not known."""

    def __init__(self, lanes: Lanes | Door, address: Callable[[int], str]) -> None:
        self.lanes: Lanes | Door = lanes
        self._address = address
        self._links: dict[int, Link] = {}
        self._late: dict[int, list[Payload]] = {}
        """Bulk messages for peers whose bulk lane does not stand yet."""
        self._session = secrets.randbits(63) | 1
        """For refusals of links that are given up."""

    def send(self, peer: int, frames: Sequence[bytes | memoryview], now: float) -> None:
        """Send on the control lane; the peer is dialled if there is no link."""
        link = self._links.get(peer)
        if link is None:
            link = self._open(peer, now)
            if link is None:
                return
        self._transmit(peer, link.send(frames))

    def send_bulk(self, peer: int, frames: Sequence[bytes | memoryview]) -> None:
        """Send on the bulk lane, or when it stands; too much is dropped (it is asked for again)."""
        if not self.lanes.send(peer, Lane.BULK, frames):
            late = self._late.setdefault(peer, [])
            if len(late) < LATE_MESSAGES:
                late.append(frames)

    def dial(self, peer: int, address: str, now: float) -> None:
        """Open a link to a peer at an address."""
        if peer not in self._links:
            self._links[peer] = self._new(now)
        self.lanes.dial(peer, address)

    def open(self) -> Lanes:
        """The lanes, opened if they were not."""
        if isinstance(self.lanes, Door):
            self.lanes = self.lanes.open()
        return self.lanes

    def _open(self, peer: int, now: float) -> Link | None:
        address = self._address(peer)
        if not address:
            return None
        self.dial(peer, address, now)
        return self._links[peer]

    @staticmethod
    def _new(now: float) -> Link:
        return Link(secrets.randbits(63) | 1, now)

    def adopt(self, peer: int, number: int) -> None:
        """The unnumbered *peer* is node *number* from now on."""
        self.lanes.adopt(peer, number)
        link = self._links.pop(peer, None)
        if link is not None:
            self._links[number] = link

    def forget(self, peer: int) -> None:
        """End the link to a peer."""
        self._late.pop(peer, None)
        if self._links.pop(peer, None) is not None:
            self.lanes.forget(peer)

    def receive(self, now: float, ready: Container[object] | None = None) -> Received:
        """Take in what has happened; *ready* as in `Lanes.receive`."""
        got = Received()
        for event in self.lanes.receive(ready=ready):
            match event:
                case Arrived(peer=peer, lane=Lane.BULK, frames=frames):
                    if peer in self._links:
                        got.bulk.append((peer, frames))
                case Arrived(peer=peer, frames=frames):
                    self._arrived(peer, frames, now, got)
                case Connected(peer=peer, lane=Lane.CONTROL):
                    link = self._links.get(peer)
                    if link is None:
                        link = self._links[peer] = self._new(now)
                    self._transmit(peer, link.connected(now))
                case Connected(peer=peer):
                    for payload in self._late.pop(peer, []):
                        self.lanes.send(peer, Lane.BULK, payload)
                case Disconnected(peer=peer, lane=Lane.CONTROL, still=still):
                    link = self._links.get(peer)
                    if link is None:
                        pass
                    elif still:
                        self._transmit(peer, link.connected(now))
                    else:
                        link.lost()
                        if peer < 0:
                            self.forget(peer)  # it never became a node
                case Refused(peer=0, address=address):
                    got.log.append(f"refused a connection at {address}: not this cluster's secret")
                case Refused(peer=peer, address=address):
                    got.log.append(f"node {peer} at {address} refuses our secret, or is no node")
        return got

    def _arrived(self, peer: int, frames: Payload, now: float, got: Received) -> None:
        link = self._links.get(peer)
        if link is None:
            answer = refusal(frames, self._session)
            if answer is not None:
                self.lanes.send(peer, Lane.CONTROL, answer)
            return
        result = link.receive(frames, now)
        self._transmit(peer, result.transmit)
        got.control.extend((peer, payload) for payload in result.deliver)
        if result.stale:
            self._end(peer, "it started anew, or has given this machine up", got)

    def _transmit(self, peer: int, frames: Sequence[Payload]) -> None:
        for payload in frames:
            if not self.lanes.send(peer, Lane.CONTROL, payload):
                return  # it is replayed when the lane stands again

    def _end(self, peer: int, why: str, got: Received) -> None:
        self.forget(peer)
        if peer > 0:
            got.lost.append((peer, why))

    def tick(self, now: float) -> Received:
        """Let time pass: signs of life, acknowledgements, deaths."""
        got = Received()
        for peer, link in list(self._links.items()):
            self._transmit(peer, link.tick(now))
            if link.dead:
                self._end(peer, "its machine does not answer any more", got)
        return got

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min((link.next_deadline() for link in self._links.values()), default=None)

    def idle(self) -> bool:
        """Whether everything sent over standing links has been acknowledged."""
        return not any(link.up and link.waiting for link in self._links.values())

    @property
    def sockets(self) -> list[Any]:
        """What to poll."""
        return list(self.lanes.sockets)
