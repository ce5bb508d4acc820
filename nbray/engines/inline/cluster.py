"""The one node of the inline engine: what it is said to have, and what of it is held."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

from nbray.config import STORE_SHARE, InitConfig
from nbray.engines.inline.groups import InlineGroups
from nbray.exceptions import RaySystemError
from nbray.ids import FIRST_NODE, NODE_LABEL, node_hex
from nbray.labels import said, satisfied
from nbray.options import UNIT, ActorOptions, TaskOptions, demand

ADDRESS = "127.0.0.1"


class InlineCluster:
    """This process. See `nbray.engine.Cluster` for the methods."""

    def __init__(self, config: InitConfig, owner: int) -> None:
        self.host = socket.gethostname()
        self._owner = owner
        self._total = _node_resources(config)
        self.labels = {NODE_LABEL: self.node_id(), **config.labels}
        self.groups = InlineGroups(owner, self)
        self._held: dict[str, int] = {}
        self._lock = threading.RLock()  # references may die inside it

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": self.node_id(),
                "Alive": True,
                "NodeManagerAddress": ADDRESS,
                "NodeManagerHostname": self.host,
                "NodeManagerPort": 0,
                "ObjectManagerPort": 0,
                "DeathReason": 0,
                "DeathReasonMessage": "",
                "alive": True,
                "NodeName": self.host,
                "Resources": self.resources(),
                "Labels": dict(self.labels),
            }
        ]

    def resources(self) -> dict[str, float]:
        return {name: amount / UNIT for name, amount in self._total.items()}

    def available(self) -> dict[str, float]:
        """See the protocol. Nothing waits here, so what is held may exceed what there is."""
        with self._lock:
            held = dict(self._held)
        return {
            name: max(0, amount - held.get(name, 0)) / UNIT for name, amount in self._total.items()
        }

    def lacking(self, options: TaskOptions | ActorOptions) -> str:
        """Why the node can never satisfy *options*; '' if it can."""
        if options.node not in {0, FIRST_NODE}:
            return f"there is no node {options.node}"
        where = options.where
        if where is not None:
            node = where.node_id.lower()
            if node and node != self.node_id() and not where.soft:
                return (
                    "The node specified via NodeAffinitySchedulingStrategy doesn't exist any more "
                    "or is infeasible, and soft=False was specified."
                )
            if not any(satisfied(self.labels, one) for one in (where.hard, *where.otherwise)):
                return f"it needs a node with {said(where.hard)}, and there is none"
        for name, amount in demand(options).items():
            total = self._total.get(name, 0)
            if amount > total:
                return (
                    f"it needs {amount / UNIT:g} {name}, and no node has more than {total / UNIT:g}"
                )
        return ""

    def hold(self, amounts: dict[str, int], sign: int) -> None:
        """Count what is held: more (+1) or less (-1) of it."""
        with self._lock:
            for name, amount in amounts.items():
                self._held[name] = self._held.get(name, 0) + sign * amount

    @contextlib.contextmanager
    def holding(self, amounts: dict[str, int]) -> Iterator[None]:
        """Hold *amounts* until the end of the block."""
        self.hold(amounts, +1)
        try:
            yield
        finally:
            self.hold(amounts, -1)

    def node_id(self) -> str:
        """Hexadecimal, as users see it."""
        return node_hex(FIRST_NODE, self._owner)

    def outlive(self, on: bool) -> bool:
        """See the protocol. Nothing outlives this process, and nothing is started by another."""
        return False

    def end_node(self, number: int, gently: bool) -> None:
        raise RaySystemError(
            "the inline engine runs in this process only: nbray.shutdown() ends it"
        )

    def join_line(self) -> str:
        raise RaySystemError(
            "the inline engine runs in this process only and cannot be joined: "
            "use nbray.init(engine='native')"
        )


def _node_resources(config: InitConfig) -> dict[str, int]:
    """What the node has, in ten-thousandths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    store = config.object_store_memory or int(memory * STORE_SHARE)
    cpus = config.num_cpus if config.num_cpus is not None else (os.cpu_count() or 1)
    amounts = {
        "CPU": cpus,
        "GPU": config.num_gpus or 0,
        "memory": memory - store,
        "object_store_memory": store,
        f"node:{ADDRESS}": 1.0,
        "node:__internal_head__": 1.0,
        **config.resources,
    }
    return {name: round(amount * UNIT) for name, amount in amounts.items() if amount}
