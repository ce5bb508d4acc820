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
from nbray.runtime.core.placement import (
    GONE_NODE,
    able,
    group_of,
    slots,
    why_never,
    why_waiting,
)
from nbray.wire.messages import Demand, Infeasible, NodeInfo, Waiting

PATIENCE = 5.0
"""Seconds that work waits before its client is told why."""
SPILL_SECONDS = 0.5
"""Seconds that work waits for the node that it is best on, before another one may have it."""
FAIL_SECONDS = 0.5
"""The same for work that is not to wait: so long may idle leases take to come back."""


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
        had = {n.number: n.total for n in before.values()}
        self.members = {node.number: node for node in nodes}
        if self._node not in self.members:
            self.members[self._node] = before[self._node]
        if was != {n.number: (n.alive, n.leaving, n.ip) for n in self.members.values()}:
            return True
        return any(
            n.total is not had[n.number] and n.total != had[n.number]
            for n in self.members.values() if n.number != self._node
        )  # fmt: skip

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
                self._me, shape, want.resources, count, want.depth, want.node, client, want.env,
                once=want.once,
            )  # fmt: skip
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
        where = want.where
        if where is None:
            candidates = able(need, self.others(), want.node)
        else:
            everybody = [*self.others(), self._mine()]
            candidates = [
                m for m in able(need, everybody, want.node, where) if m.number != self._node
            ]
        room = {m.number: slots(need, m.available, m.total) for m in candidates}
        first, near = where.node if where is not None else 0, want.near
        if where is not None and where.spill and not want.late:
            named = [m for m in candidates if m.number == first]
            candidates = named if named or first == self._node else candidates
        order = sorted(
            candidates,
            key=lambda m: (m.number != first, -near.get(m.number, 0), -room[m.number], m.number),
        )
        for member in order:
            part = min(rest, room[member.number])
            if part:
                asks[member.number] = asks.get(member.number, 0) + part
                rest -= part
        if where is not None and where.spill:
            self.choose(want, rest > 0 and want.late)
        for member in candidates:
            # Nobody has this much free: all queue it, the first to have room grants.
            most = slots(need, member.total, member.total)
            count = min(asks.get(member.number, 0) + rest, most)
            asks[member.number] = max(count, want.remote.get(member.number, 0))
        return {node: count for node, count in asks.items() if count}

    def look_near(self, now: float) -> None:
        """Note how many workers of each want are to come from other nodes, which have the data.

        Only as many as those have free as far as is known here, and not for long: what is known
        may have changed.
        """
        for want in self._leases.wants.values():
            want.away = 0
            if not want.near or not want.count:
                continue
            nothing = not want.held and not any(want.remote.values())
            if nothing and now >= want.since + SPILL_SECONDS:
                want.near = {}
            for member in able(want.resources, self.others(), want.node) if want.near else ():
                best = want.near.get(member.number, 0) - want.remote.get(member.number, 0)
                if best > 0:
                    room = slots(want.resources, member.available, member.total)
                    want.away += min(best, room)

    # -- telling clients ------------------------------------------------------------

    def _nodes(self) -> list[NodeInfo]:
        """All nodes, this one with what it has free at this moment."""
        nodes = [m for m in self.members.values() if m.number != self._node]
        return sorted([*nodes, self._mine()], key=lambda m: m.number)

    def _mine(self) -> NodeInfo:
        mine = self.members[self._node]
        return NodeInfo(
            mine.number, mine.name, mine.ip, mine.port, self._ledger.total, self._ledger.free,
            labels=mine.labels,
        )  # fmt: skip

    def choose(self, want: Want, spilling: bool = False) -> None:
        """Note whether what is said of the node allows this one; *spilling*: no better is free."""
        where = want.where
        if where is None or where.plain:
            return
        chosen = able(want.resources, self._nodes(), want.node, where)
        numbers = {node.number for node in chosen}
        want.there = self._node not in numbers
        if where.spill and where.node in numbers - {self._node}:
            want.there = not spilling

    def never(self, want: Want) -> list[NodeEffect]:
        """`Infeasible`, if no live node can ever satisfy the want of a client of ours."""
        if want.asker or not want.count:
            return []
        nodes, where, need = self._nodes(), want.where, want.resources
        if able(need, nodes, want.node, where) or group_of(need):
            return []  # what a group has its client knows from the head
        client, shape = want.key
        why = why_never(need, nodes, want.node, where)
        gone = bool(want.node)
        if where is not None and where.node and not where.soft and not gone:
            why = GONE_NODE if where.node < 0 else f"{GONE_NODE} It {why}"
            gone = True
        return [Send(client, Infeasible(self._me, shape, why, gone))]

    def explain(self, want: Want, now: float) -> list[NodeEffect]:
        """`Waiting`, if a want of a client of ours has had nothing for long, or no longer."""
        if want.asker:
            return []
        idle = want.count > 0 and not want.held and not sum(want.remote.values())
        if not idle:
            want.since = now
        patience = FAIL_SECONDS if want.where is not None and want.where.fail else PATIENCE
        late = idle and now >= want.since + patience
        spills = want.where is not None and want.where.spill
        if spills and want.late != (idle and now >= want.since + SPILL_SECONDS):
            want.late = not want.late
            return self.forward(want)
        if not late and not want.explained:
            return []
        why = ""
        if late:
            nodes, where = self._nodes(), want.where
            if where is not None and where.fail:
                client, shape = want.key
                why = f"node {where.node_id} is busy, and is not to be waited for"
                return [Send(client, Infeasible(self._me, shape, why, True))]
            if group_of(want.resources) or able(want.resources, nodes, want.node, where):
                why = why_waiting(want.resources, nodes, want.node, where)
            else:
                why = why_never(want.resources, nodes, want.node, where)
            if want.stuck:
                why += f"; {want.stuck}"
        if why == want.explained:
            return []
        want.explained = why
        client, shape = want.key
        return [Send(client, Waiting(self._me, shape, why))]

    @staticmethod
    def _patience(want: Want) -> float:
        """Seconds after which `explain` has something to say, or to do."""
        where = want.where
        if where is None:
            return SPILL_SECONDS if want.near else PATIENCE
        if where.spill and not want.late:
            return SPILL_SECONDS
        return FAIL_SECONDS if where.fail else PATIENCE

    def next_deadline(self) -> float | None:
        """When `explain` may next have something to say."""
        due = [
            want.since + self._patience(want)
            for want in self._leases.wants.values()
            if want.count and not want.asker and not want.explained and not want.held
        ]
        return min(due, default=None)
