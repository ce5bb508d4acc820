"""`ray._private.state`: what the cluster has."""

from __future__ import annotations

from nbray.api import available_resources, cluster_resources, nodes

__all__ = ["available_resources", "cluster_resources", "nodes", "total_resources_per_node"]


def total_resources_per_node() -> dict[str, dict[str, float]]:
    """Node id to what the node has, of the live ones."""
    return {one["NodeID"]: dict(one["Resources"]) for one in nodes() if one["Alive"]}
