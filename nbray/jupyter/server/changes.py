"""What the sidebar's requests change: one change at a time for each cluster.

Owns the order of changes. Does not own them (`nbray.clusters.manager`). Rule:
the server's loop goes on meanwhile: a change runs in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from nbray.clusters.launcher import Interpreter
from nbray.clusters.manager import ClusterManager


class Changes:
    """Whatever changes the clusters of *manager*."""

    def __init__(self, manager: ClusterManager) -> None:
        self._manager = manager
        self._locks: dict[str, asyncio.Lock] = {}

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def start(self, by: Interpreter, cpus: float | None) -> str:
        """Start a cluster that runs *by*; its address."""
        async with self._lock(""):
            record = await asyncio.to_thread(self._manager.start, by, cpus)
        return record.head_address

    async def add_node(self, key: str, env: Mapping[str, str], cpus: float) -> None:
        """See `ClusterManager.add_node`."""
        async with self._lock(key):
            await asyncio.to_thread(self._manager.add_node, key, env, cpus)

    async def remove_node(self, key: str) -> None:
        """See `ClusterManager.remove_node`."""
        async with self._lock(key):
            await asyncio.to_thread(self._manager.remove_node, key)

    async def stop(self, key: str) -> None:
        """See `ClusterManager.stop`."""
        async with self._lock(key):
            await asyncio.to_thread(self._manager.stop, key)
        self._locks.pop(key, None)
