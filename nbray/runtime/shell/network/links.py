"""The links of one node to all others: reliable control and idempotent bulk over the lanes.

Owns carrying the frames of `core.network.mesh` over the lanes, and when lanes are
opened and closed. Does not own meaning: what arrives is handed out as frames.
Rule: a link that is dead or stale is gone for good, and its peer is reported
lost once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nbray.ids import FIRST_NODE, drawn
from nbray.runtime.core.network.link import Payload
from nbray.runtime.core.network.mesh import Got, Mesh, Out
from nbray.runtime.shell.network.lane_events import Arrived, Connected, Disconnected, Lane, Refused
from nbray.runtime.shell.network.listener import Door
from nbray.runtime.shell.network.suspects import Suspects

if TYPE_CHECKING:
    from nbray.runtime.shell.network.lanes import Lanes

LATE_MESSAGES = 16
"""Bulk messages (of a chunk each) that wait for a lane."""
HUNG_UP = (
    "node {} at {} did not let us in: it is asleep or overloaded, or has another secret; "
    "it is tried again"
)
ENDED = "its process has ended: its machine refuses connections to its port"


class Received(msgspec.Struct):
    """What came of one look at the lanes."""

    control: list[tuple[int, Payload]] = []
    """(peer, frames), in order for each peer."""
    bulk: list[tuple[int, Payload]] = []
    lost: list[tuple[int, str]] = []
    """Peers whose link has ended, and why."""
    log: list[str] = []


class Links:
    """All links over *lanes*.

    *address* gives a node's host:port, '' if it is not known (alive), *members* who is.
    """

    def __init__(
        self,
        lanes: Lanes | Door,
        address: Callable[[int], str],
        members: Callable[[], Iterable[int]],
    ) -> None:
        self.lanes: Lanes | Door = lanes
        self._address = address
        self.mesh = Mesh(
            drawn, lambda peer: bool(address(peer)), members, lanes.number
        )
        self.unmet: set[int] = set()
        """Peers whose address is not known yet: what is sent to them waits until it is."""
        self._late: dict[int, list[Payload]] = {}
        """Bulk messages for peers whose bulk lane does not stand yet."""
        self._kept = Received()
        """What was received already, for who looks next."""
        self._suspects = Suspects(address)

    def identify(self, number: int) -> None:
        """This node has its number now."""
        self.mesh.number = number
        self.open().identify(number)

    def send(self, peer: int, frames: Sequence[bytes | memoryview], now: float) -> None:
        """Send on the control lane; the peer is dialled if there is no link."""
        if peer not in self.mesh.links and not self._approach(peer, now):
            return
        self._transmit(self.mesh.send(peer, frames))

    def _approach(self, peer: int, now: float) -> bool:
        """Begin a link; whether there may be one."""
        address = self._address(peer)
        if address:
            self.dial(peer, address, now)
        elif peer < 0 or self.mesh.is_out(peer):
            return False
        else:
            self.mesh.open(peer, now)
            self.unmet.add(peer)
        return True

    def send_bulk(self, peer: int, frames: Sequence[bytes | memoryview]) -> None:
        """Send on the bulk lane, or when it stands; too much is dropped (it is asked for again).

        The frames are copied before this returns.
        """
        lane, frames = self.mesh.bulk(peer, frames)
        if not self.lanes.send(lane, Lane.BULK, frames):
            late = self._late.setdefault(lane, [])
            if len(late) < LATE_MESSAGES:
                late.append([bytes(frame) for frame in frames])

    def dial(self, peer: int, address: str, now: float) -> None:
        """Open a link to a peer at an address."""
        self.mesh.open(peer, now)
        self.lanes.dial(peer, address)

    def open(self) -> Lanes:
        """The lanes, opened if they were not."""
        if isinstance(self.lanes, Door):
            self.lanes = self.lanes.open()
        return self.lanes

    def adopt(self, peer: int, number: int) -> None:
        """The unnumbered *peer* is node *number* from now on."""
        self.lanes.adopt(peer, number)
        self.mesh.adopt(peer, number)
        if self._judges(number):
            self._suspects.stands(number, time.monotonic())

    def counted_out(self, peer: int) -> None:
        """The head says that a peer is gone."""
        self.forget(peer)
        self.mesh.forget(peer)

    def forget(self, peer: int) -> None:
        """End the link to a peer."""
        self.unmet.discard(peer)
        self._late.pop(peer, None)
        self._suspects.forget(peer)
        if self.mesh.links.pop(peer, None) is not None:
            self.lanes.forget(peer)

    def receive(self, now: float, ready: Container[object] | None = None) -> Received:
        """Take in what has happened; *ready* as in `Lanes.receive`."""
        got = self._kept  # it stays there if the system refuses something meanwhile
        for event in self.lanes.receive(ready=ready):
            match event:
                case Arrived(peer=peer, lane=Lane.BULK, frames=frames):
                    came = self.mesh.bulk_arrived(peer, frames)
                    got.bulk.extend(came.deliver)
                    for lane, payload in came.out:
                        self.lanes.send(lane, Lane.BULK, payload)
                case Arrived(peer=peer, frames=frames):
                    self._came(self.mesh.arrived(peer, frames, now), got, now)
                case Connected(peer=peer, lane=Lane.CONTROL):
                    self._transmit(self.mesh.connected(peer, now))
                    if self._judges(peer):
                        self._suspects.stands(peer, now)
                case Connected(peer=peer):
                    for payload in self._late.pop(peer, []):
                        self.lanes.send(peer, Lane.BULK, payload)
                case Disconnected(peer=peer, lane=Lane.CONTROL, still=still):
                    if peer not in self.mesh.links:
                        pass
                    elif still:
                        self._transmit(self.mesh.connected(peer, now))
                    else:
                        self.mesh.disconnected(peer)
                        if peer < 0:
                            self.forget(peer)  # it never became a node
                        elif self._judges(peer):
                            self._suspects.broke(peer, now)
                case Refused(peer=peer, address=address):
                    got.log.append(HUNG_UP.format(peer, address))
        got.log += self.lanes.lines()
        self._kept = Received()
        return got

    def keep(self, got: Received) -> None:
        """Let the next `receive` begin with *got*: it is for somebody who is not there yet."""
        self._kept = got

    def _came(self, came: Got, got: Received, now: float) -> None:
        self._transmit(came.out)
        for peer in came.dial:
            self.dial(peer, self._address(peer), now)
        got.control.extend(came.deliver)
        for peer, why in came.lost:
            self.forget(peer)
            if peer > 0:
                got.lost.append((peer, why))

    def _judges(self, peer: int) -> bool:
        """Whether this node may say that a peer is dead (see `core.network.mesh`)."""
        return peer > 0 and FIRST_NODE in (self.mesh.number, peer)

    def _transmit(self, out: Iterable[Out]) -> None:
        for lane, payload in out:
            self.lanes.send(lane, Lane.CONTROL, payload)  # else it is replayed when one stands

    def tick(self, now: float) -> Received:
        """Let time pass: signs of life, acknowledgements, deaths."""
        got = Received()
        for peer in [one for one in self.unmet if self._address(one)]:
            self.unmet.discard(peer)
            self.lanes.dial(peer, self._address(peer))
        self._came(self.mesh.tick(now), got, now)
        for peer in self._suspects.tick(now):
            link = self.mesh.links.get(peer)
            if link is not None and not link.up:
                self._came(Got(lost=[(peer, ENDED)]), got, now)
        self.lanes.tick(now)
        got.log += self.lanes.lines()
        return got

    def next_deadline(self) -> float | None:
        """When `receive` or `tick` has something to do."""
        if self._kept.control or self._kept.bulk or self._kept.lost:
            return 0.0
        parts = self.mesh, self.lanes, self._suspects
        due = (part.next_deadline() for part in parts)
        return min((one for one in due if one is not None), default=None)

    def idle(self) -> bool:
        """Whether everything sent over standing links has been acknowledged."""
        return not any(link.up and link.waiting for link in self.mesh.links.values())

    @property
    def sockets(self) -> list[Any]:
        """What to poll."""
        return list(self.lanes.sockets)
