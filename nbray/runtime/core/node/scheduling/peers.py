"""The other nodes: what they are asked for, and what clients are told about work that waits.

Owns the node's picture of the others (`members`), the demands it forwards for
its own clients, and the sentences `Infeasible` and `Waiting`. Does not own
grants: the other nodes grant to the clients directly and report with `Holding`
how many leases each then has. Rule: others are asked for what is unmet here,
best first by what they have free; only what nobody has free is asked of all.
"""

from __future__ import annotations

from collections.abc import Iterable

from nbray.ids import node_client
from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.leases import Leases, Ledger, Want
from nbray.runtime.core.placement import able, slots, why_never, why_waiting
from nbray.wire.messages import Demand, Infeasible, NodeInfo, Waiting

PATIENCE = 5.0
"""Seconds that work waits before its client is told why."""


class Peers:
    """Demands across the cluster, seen from node number `node`."""

    def __init__(self, me: int, node: int, ledger: Ledger, leases: Leases) -> None:
        self._me = me
        self._node = node
        self._ledger = ledger
        self._leases = leases
        self.members: dict[int, NodeInfo] = {}

    def learn(self, nodes: Iterable[NodeInfo]) -> bool:
        """Take the head's picture of the members; whether more than what is free has changed."""
        before = self.members
        was = {n.number: (n.alive, n.leaving, n.ip) for n in before.values()}
        self.members = {node.number: node for node in nodes}
        if self._node not in self.members:
            self.members[self._node] = before[self._node]
        return was != {n.number: (n.alive, n.leaving, n.ip) for n in self.members.values()}

    def others(self) -> list[NodeInfo]:
        """The live nodes but this one."""
        return [m for m in self.members.values() if m.alive and m.number != self._node]

    def gone(self, node: int) -> bool:
        """Whether *node* is known to be dead. One that nobody has told us of yet may just have
        joined, and its messages may have come faster than the head's."""
        member = self.members.get(node)
        return node != self._node and member is not None and not member.alive

    def lost(self, node: int, now: float) -> None:
        """A node is gone, with every lease it gave."""
        for want in self._leases.wants.values():
            want.none_on(node, now)
            want.asked.pop(node, None)

    # -- asking others --------------------------------------------------------------

    def forward(self, want: Want) -> list[NodeEffect]:
        """Tell the other nodes what is wanted of them now, where that changed."""
        if want.asker:
            return []
        asks = self._asks(want)
        out: list[NodeEffect] = []
        client, shape = want.key
        for node in sorted({*asks, *want.asked}):
            count = asks.get(node, 0)
            if count == want.asked.get(node, 0):
                continue
            if count:
                want.asked[node] = count
            else:
                del want.asked[node]
            message = Demand(
                self._me, shape, want.resources, count, want.depth, want.node, client, want.env
            )
            out.append(Send(node_client(node), message))
        return out

    def _asks(self, want: Want) -> dict[int, int]:
        if not want.count or (want.node == self._node):
            return {}
        need = want.resources
        asks = {node: count for node, count in want.remote.items() if count}
        rest = want.unmet
        if not rest:
            return asks
        candidates = able(need, self.others(), want.node)
        room = {m.number: slots(need, m.available, m.total) for m in candidates}
        for member in sorted(candidates, key=lambda m: (-room[m.number], m.number)):
            part = min(rest, room[member.number])
            if part:
                asks[member.number] = asks.get(member.number, 0) + part
                rest -= part
        for member in candidates:
            # Nobody has this much free: all queue it, the first to have room grants.
            most = slots(need, member.total, member.total)
            count = min(asks.get(member.number, 0) + rest, most)
            asks[member.number] = max(count, want.remote.get(member.number, 0))
        return {node: count for node, count in asks.items() if count}

    # -- telling clients ------------------------------------------------------------

    def _nodes(self) -> list[NodeInfo]:
        """All nodes, this one with what it has free at this moment."""
        nodes = [m for m in self.members.values() if m.number != self._node]
        mine = self.members[self._node]
        mine = NodeInfo(
            mine.number, mine.name, mine.ip, mine.port, self._ledger.total, self._ledger.free
        )
        return sorted([*nodes, mine], key=lambda m: m.number)

    def never(self, want: Want) -> list[NodeEffect]:
        """`Infeasible`, if no live node can ever satisfy the want of a client of ours."""
        if want.asker or not want.count:
            return []
        nodes = self._nodes()
        if able(want.resources, nodes, want.node):
            return []
        client, shape = want.key
        why = why_never(want.resources, nodes, want.node)
        return [Send(client, Infeasible(self._me, shape, why))]

    def explain(self, want: Want, now: float) -> list[NodeEffect]:
        """`Waiting`, if a want of a client of ours has had nothing for long, or no longer."""
        if want.asker:
            return []
        idle = want.count > 0 and not want.held and not sum(want.remote.values())
        if not idle:
            want.since = now
        late = idle and now >= want.since + PATIENCE
        if not late and not want.explained:
            return []
        why = ""
        if late:
            why = why_waiting(want.resources, self._nodes(), want.node)
            if want.stuck:
                why += f"; {want.stuck}"
        if why == want.explained:
            return []
        want.explained = why
        client, shape = want.key
        return [Send(client, Waiting(self._me, shape, why))]

    def next_deadline(self) -> float | None:
        """When `explain` may next have something to say."""
        due = [
            want.since + PATIENCE
            for want in self._leases.wants.values()
            if want.count and not want.asker and not want.explained and not want.held
        ]
        return min(due, default=None)
