"""A node's end of its links to others, over the world's carriers.

Owns what `runtime.shell.network.links` and `lanes` own in a real cluster. Rule: what the shell does
with what the mesh says is done here the same way; nothing is decided.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nbray.ids import node_of
from nbray.runtime.core.network.mesh import Got, Mesh, Out
from nbray.wire.codec import envelope

if TYPE_CHECKING:
    from sim.nodes import NodeProcess


class NodeLinks:
    """The links of one node."""

    def __init__(self, node: NodeProcess) -> None:
        self._node = node
        self._world = node.world
        self._number = number = node.number
        sessions = itertools.count(number * 1_000_000 + 1)
        self._mesh = Mesh(lambda: next(sessions), self._member, self._members, number)
        self._unmet: set[int] = set()
        """Whom something is to be sent who has not introduced himself."""

    @property
    def _peers(self) -> Any:
        return self._node.brain.peers

    def _member(self, peer: int) -> bool:
        member = self._peers.members.get(peer)
        return member is not None and member.alive

    def _members(self) -> list[int]:
        return [number for number in self._peers.members if self._member(number)]

    # -- time -------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Dial whom one knows by now, and look after what is late."""
        for peer in sorted(self._unmet):
            if self._member(peer):
                self._unmet.discard(peer)
                self._dial(peer)
            elif self._peers.gone(peer):
                self._unmet.discard(peer)
                self._mesh.forget(peer)
        due = self._mesh.next_deadline()
        if due is not None and due <= now:
            self._came(self._mesh.tick(now))

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return self._mesh.next_deadline()

    # -- what the world does --------------------------------------------------------------

    def connected(self, peer: int) -> None:
        """A connection to *peer* stands."""
        if self._node.stands(self.connected, peer):
            return
        self._transmit(self._mesh.connected(peer, self._world.now))
        self._node.plan()

    def disconnected(self, peer: int) -> None:
        """The connection to *peer* broke."""
        if self._node.stands(self.disconnected, peer):
            return
        self._mesh.disconnected(peer)

    def carried(self, peer: int, frames: list[Any], bulk: bool) -> None:
        """Something came over a carrier."""
        if self._node.stands(self.carried, peer, frames, bulk):
            return
        if bulk:
            came = self._mesh.bulk_arrived(peer, frames)
            for lane, payload in came.out:
                self._world.transmit(self._number, lane, list(payload), True)
            for _, payload in came.deliver:
                self._node.hear_bulk(list(payload))
            return
        self._came(self._mesh.arrived(peer, frames, self._world.now))
        self._node.wake(self._world.now + 1e-4)  # to plan when the link wants to be looked after

    def _came(self, got: Got) -> None:
        self._transmit(got.out)
        for peer in got.dial:
            self._dial(peer)
        for _, payload in got.deliver:
            self._node.take(list(payload))
        for peer, why in got.lost:
            self._mesh.links.pop(peer, None)
            self._world.hang_up(self._number, peer)
            self._node.peer_lost(peer, why)

    # -- sending ------------------------------------------------------------------------

    def forward(self, to: int, frames: list[Any]) -> None:
        """Pass on what is for another client."""
        node = node_of(to)
        if node == self._number:
            self._world.pipe(self._node.me, to, frames)
        elif not self._peers.gone(node):
            self.control(node, [envelope(to), *frames])

    def control(self, peer: int, frames: list[Any]) -> None:
        """Send *frames* to node *peer*."""
        if peer not in self._mesh.links:
            if self._member(peer):
                self._dial(peer)
            elif self._peers.gone(peer):
                return
            else:
                self._mesh.open(peer, self._world.now)
                self._unmet.add(peer)
        self._transmit(self._mesh.send(peer, frames))

    def bulk(self, peer: int, frames: list[Any]) -> None:
        """Send *frames* of an object."""
        lane, out = self._mesh.bulk(peer, frames)
        self._world.transmit(self._number, lane, list(out), True)

    def forget(self, peer: int) -> None:
        """Nothing is sent to node *peer* any more."""
        self._world.hang_up(self._number, peer)
        self._mesh.forget(peer)

    def _dial(self, peer: int) -> None:
        self._mesh.open(peer, self._world.now)
        self._world.dial(self._number, peer)
        self._world.at(self._world.delay(), self._world.connect, self._number, peer)

    def _transmit(self, out: Iterable[Out]) -> None:
        for lane, payload in out:
            self._world.transmit(self._number, lane, list(payload), False)
