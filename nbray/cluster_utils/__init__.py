"""Ray's `ray.cluster_utils`: clusters of several nodes on one machine, for tests."""

from __future__ import annotations

from typing import NoReturn

from nbray.cluster_utils.cluster import Cluster

__all__ = ["Cluster"]


def __getattr__(name: str) -> NoReturn:
    if name == "AutoscalingCluster":
        raise AttributeError(
            "nbray has no autoscaler, and no AutoscalingCluster: Cluster.add_node() adds nodes"
        )
    raise AttributeError(f"module 'nbray.cluster_utils' has no attribute {name!r}")
