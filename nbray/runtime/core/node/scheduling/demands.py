"""What clients ask a node for, and what those who ask for others hear of it.

Owns how a want follows from the last `Demand`, and the end of a lease. Does not own who is served
(`scheduler`) nor what other nodes are asked (`peers`). Rule: the last demand counts; whoever asks
on behalf of a client is told whenever what its client holds here has changed.
"""

from __future__ import annotations

from nbray.ids import node_of
from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.leases import Lease, Leases, Ledger, Want
from nbray.runtime.core.node.scheduling.peers import Peers
from nbray.wire.messages import Demand, Holding


class Demands:
    """Those at one node."""

    def __init__(self, me: int, ledger: Ledger, leases: Leases, peers: Peers) -> None:
        self._me = me
        self._ledger = ledger
        self._leases = leases
        self._peers = peers

    def asked(self, message: Demand, now: float) -> list[NodeEffect]:
        """A client that lives wants more, or less."""
        key = (message.origin or message.sender, message.shape)
        if not message.count and key not in self._leases.wants:
            return []
        want = self._leases.want(key, message.resources, now)
        if not want.count:
            want.since = now
        want.count = message.count
        want.depth = message.depth
        want.node = message.node
        want.env = message.env
        want.where = message.where
        want.once = message.once
        want.near = message.near
        want.asker = message.sender if message.origin else 0
        want.rests = 0.0
        if not want.unmet:
            want.passed = 0.0
        if want.where is not None:
            self._peers.choose(want)
        return self._peers.never(want)

    def holding(self, message: Holding, now: float) -> None:
        """Another node says how many leases a client of this one has there."""
        want = self._leases.wants.get((message.client, message.shape))
        if want is not None:
            node = node_of(message.sender)
            if message.count:
                want.remote[node] = message.count
            else:
                want.none_on(node, now)

    def end(self, lease: Lease, now: float) -> list[NodeEffect]:
        """A lease has ended, with its client, its worker, or because it was given back."""
        want = self._leases.end(lease, self._ledger)
        if want is None:
            return []
        if want.count and not want.held:
            want.since = now
        out = self.report(want)
        self._leases.sweep(want)
        return out

    def report(self, want: Want) -> list[NodeEffect]:
        """Tell the node that asked how many leases its client has here."""
        if not want.asker:
            return []
        client, shape = want.key
        return [Send(want.asker, Holding(self._me, client, shape, want.held))]

    def hopeless(self) -> list[NodeEffect]:
        """The membership has changed: tell the clients whose wants nobody can satisfy any more."""
        wants = self._leases.wants.values()
        for want in wants:
            if want.where is not None:
                self._peers.choose(want)
        return [effect for want in wants for effect in self._peers.never(want)]
