"""The machines of a native cluster, as one client sees and changes them.

Owns the wording for users. Does not own membership (`core.head.membership`), nor how a
node leaves (`core.node.drain`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from nbray.exceptions import RaySystemError
from nbray.ids import FIRST_NODE, NODE_LABEL, node_client, node_hex
from nbray.options import TaskOptions, demand
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import Send
from nbray.runtime.core.placement import able, total, units
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.network.address import join_address
from nbray.where import Where
from nbray.wire import messages as m

if TYPE_CHECKING:
    from nbray.runtime.shell.client.groups import NativeGroups
    from nbray.runtime.shell.client.memory import Memory


class NativeCluster:
    """Seen by one client. See `nbray.engine.Cluster` for the methods."""

    def __init__(
        self, brain: ClientBrain, loop: Loop, memory: Memory, registered: m.Registered,
        joinable: Callable[[str], str] | None,
    ) -> None:  # fmt: skip
        self._brain = brain
        self._loop = loop
        self._memory = memory
        self._registered = registered
        self._joinable = joinable
        self._groups: NativeGroups | None = None
        self._turn = 0
        """How many tasks were spread over the nodes."""

    @property
    def groups(self) -> NativeGroups:
        """The placement groups (see `Cluster.groups`)."""
        if self._groups is None:
            from nbray.runtime.shell.client.groups import NativeGroups  # few programs have any

            engine: Any = self._memory.engine
            self._groups = NativeGroups(
                self._brain, self._loop, self._memory, engine.wait, engine.context.origin,
                engine.context.actor_key, self.number,
            )  # fmt: skip
        return self._groups

    def number(self, node_id: str) -> int:
        """The number of the node of this id; -1: there is no such node."""
        for node in self._brain.members.values():
            if node_hex(node.number, self._registered.cluster) == node_id.lower():
                return node.number
        return -1

    def located(self, where: Where) -> Where:
        """*where* with the number of the node that it names."""
        if not where.node_id:
            return where
        return msgspec.structs.replace(where, node=self.number(where.node_id))

    def chosen(self, options: TaskOptions) -> TaskOptions:
        """*options* with the node that a strategy means now."""
        where = options.where
        assert where is not None
        if where.spread:
            self._turn += 1
            able_ones = able(demand(options), self._brain.members.values())
            if len(able_ones) > 1:
                node = able_ones[self._turn % len(able_ones)].number
                where = msgspec.structs.replace(where, node=node, soft=True, spill=True)
        elif where.node_id:
            where = self.located(where)
        else:
            return options
        return msgspec.structs.replace(options, where=where)

    def address(self) -> str:
        """Where machines join now: opening the port moves the head's node."""
        head = self._brain.members.get(FIRST_NODE)
        return join_address(head.ip, head.port) if head else self._registered.address

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes, with Ray's keys and NodeNumber (see `Cluster.nodes`)."""
        self._loop.flush()  # take what has arrived
        members = [node for _, node in sorted(self._brain.members.copy().items())]
        return [_described(node, self._registered.cluster) for node in members]

    def resources(self) -> dict[str, float]:
        """Totals (see `Cluster.resources`)."""
        self._loop.flush()  # take what has arrived
        return total([node.total for node in self._brain.members.values() if node.alive])

    def available(self) -> dict[str, float]:
        """What is free (see `Cluster.available`)."""
        self._loop.flush()  # take what has arrived
        return total([node.available for node in self._brain.members.values() if node.alive])

    def outlive(self, on: bool) -> bool:
        """Keep the cluster (see `Cluster.outlive`). The head's machine decides."""
        answer = self._memory.request(
            node_client(FIRST_NODE), lambda token: m.Outlive(self._brain.me, token, on)
        )
        handed_over: bool = answer.handed_over
        return handed_over

    def end_node(self, number: int, gently: bool) -> None:
        """Have a node leave (see `Cluster.end_node`)."""
        brain = self._brain
        self._loop.flush()  # take what has arrived
        member = brain.members.get(number)
        if member is None or not member.alive:
            raise ValueError(f"node {number} has left the cluster already")
        if number == FIRST_NODE:
            raise ValueError("the head's node cannot leave its cluster: %nbray stop ends it all")
        if number == brain.node:
            raise ValueError("this notebook is attached through that node: detach it first")
        message = m.Drain(brain.me) if gently else m.Exit(brain.me, "it was asked to leave at once")
        self._loop.locked(lambda: [Send(node_client(number), message)])

    def join_line(self) -> str:
        """Have the port opened, and say how to join by it (see `Cluster.join_line`)."""
        if self._joinable is None:
            raise RaySystemError(
                "only the driver can hand out the line for joining: call it in the notebook"
            )
        answer = self._memory.request(
            self._memory.node, lambda token: m.OpenPort(self._brain.me, token)
        )
        if answer.why:
            raise RaySystemError(answer.why)
        return self._joinable(answer.address)


def _described(node: m.NodeInfo, cluster: int) -> dict[str, Any]:
    """A node as `nbray.nodes()` gives it: Ray's keys, and NodeNumber and IsHead."""
    return {
        "NodeID": node_hex(node.number, cluster),
        "Alive": node.alive,
        "NodeManagerAddress": node.ip,
        "NodeManagerHostname": node.name,
        "NodeManagerPort": node.port,
        "ObjectManagerPort": node.port,
        "DeathReason": 0 if node.alive else 1,
        "DeathReasonMessage": "" if node.alive else "it has left, or is dead",
        "NodeName": node.ip,
        "NodeNumber": node.number,
        "IsHead": node.is_head,
        "alive": node.alive,
        "Resources": units(node.total) if node.alive else {},
        "Labels": {NODE_LABEL: node_hex(node.number, cluster), **node.labels},
    }
