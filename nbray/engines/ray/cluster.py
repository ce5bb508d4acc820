"""The nodes of the Ray cluster, as Ray tells of them.

Owns the numbers by which nbray names nodes. Rule: who joins and leaves is Ray's to decide; what is
asked beyond that is refused in a sentence.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import ray

from nbray.engines.ray import private
from nbray.engines.ray.abilities import NODES
from nbray.engines.ray.groups import RayGroups
from nbray.exceptions import RaySystemError
from nbray.options import UNIT, ActorOptions, TaskOptions, demand

FRESH_SECONDS = 0.5
"""Seconds for which Ray's answer about its nodes is used again."""
_INTERNAL = ("node:", "bundle_group", "CPU_group", "GPU_group", "memory_group")


class RayCluster:
    """See `nbray.engine.Cluster` for the methods."""

    def __init__(self, check: Callable[[], None], groups: RayGroups, address: str) -> None:
        self._check = check
        self.groups = groups
        self.address = address
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()
        self._known: list[dict[str, Any]] = []
        self._asked = 0.0

    def nodes(self) -> list[dict[str, Any]]:
        return self._look(0.0)

    def recent(self) -> list[dict[str, Any]]:
        """The same, perhaps `FRESH_SECONDS` old."""
        return self._look(FRESH_SECONDS)

    def _look(self, age: float) -> list[dict[str, Any]]:
        self._check()
        with self._lock:
            now = time.monotonic()
            if now - self._asked > age or not self._known:
                found = sorted(ray.nodes(), key=lambda node: not _is_head(node))
                for node in found:
                    self._numbers.setdefault(node["NodeID"], len(self._numbers) + 1)
                self._known = [
                    {**node, "NodeNumber": self._numbers[node["NodeID"]]} for node in found
                ]
                self._asked = now
            return list(self._known)

    def number(self, node_id: str) -> int:
        """The number of a node (0: it is not known)."""
        if node_id not in self._numbers:
            self.nodes()
        return self._numbers.get(node_id, 0)

    def id(self, number: int) -> str:
        """The id of the node of this number ('': there is none)."""
        return next((node for node, own in self._numbers.items() if own == number), "")

    def name(self, node_id: str) -> str:
        """The host's name of a node ('?': it is not known)."""
        return str(self._about(node_id).get("NodeManagerHostname", "?"))

    def cpus(self, node_id: str) -> float:
        """The CPUs of a node (0: it is not known)."""
        return float(self._about(node_id).get("Resources", {}).get("CPU", 0.0))

    def _about(self, node_id: str) -> dict[str, Any]:
        """What is known of a node; Ray is asked only about those that are new."""
        found = next((node for node in self._known if node["NodeID"] == node_id), None)
        if found is None and node_id not in self._numbers:
            self.nodes()
            found = next((node for node in self._known if node["NodeID"] == node_id), None)
        return found or {}

    def resources(self) -> dict[str, float]:
        self._check()
        return _public(ray.cluster_resources())

    def available(self) -> dict[str, float]:
        self._check()
        found = _public(ray.available_resources())
        return {name: found.get(name, 0.0) for name in self.resources()} | found

    def lacking(self, options: TaskOptions | ActorOptions) -> str:
        """Why no node can ever do what asks for *options* ('': one can, or may come)."""
        need = demand(options)
        if not need or (need.keys() == {"CPU"} and need["CPU"] <= UNIT):
            return ""
        alive = [node for node in self.recent() if node["Alive"]]
        for node in alive:
            has = node["Resources"]
            if all(round(has.get(name, 0) * UNIT) >= amount for name, amount in need.items()):
                return ""
        asked = ", ".join(f"{amount / UNIT:g} {name}" for name, amount in need.items())
        lacks = []
        for name, amount in need.items():
            most = max((node["Resources"].get(name, 0) for node in alive), default=0)
            if round(most * UNIT) < amount:
                lacks.append(f"at most {most:g} {name}")
        said = f" (a node has {', '.join(lacks)})" if lacks else ""
        return f"needs {asked}, and no node of the Ray cluster has that{said}"

    def outlive(self, on: bool) -> bool:
        """A Ray cluster that this process has joined stays; one of its own ends with it."""
        return False

    def end_node(self, number: int, gently: bool) -> NoReturn:
        """Refused: nodes are Ray's."""
        raise RaySystemError(NODES)

    def join_line(self) -> str:
        if not self.address:
            raise RaySystemError("this Ray cluster does not say where it listens")
        token = private.token()
        shown = f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN={shlex.quote(token)} " if token else ""
        return f"{shown}ray start --address={self.address}"


def _is_head(node: Mapping[str, Any]) -> bool:
    return "node:__internal_head__" in node.get("Resources", {})


def _public(amounts: Mapping[str, float]) -> dict[str, float]:
    """Without what Ray counts for itself."""
    return {name: amount for name, amount in amounts.items() if not name.startswith(_INTERNAL)}
