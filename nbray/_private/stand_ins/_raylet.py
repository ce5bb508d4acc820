"""`ray._raylet`: what there is C code in Ray."""

from __future__ import annotations

from nbray.generators import DynamicObjectRefGenerator, ObjectRefGenerator
from nbray.refs import ObjectRef
from nbray.refs import ObjectRef as ObjectID
from nbray.unique_ids import (
    ActorClassID,
    ActorID,
    BaseID,
    FunctionID,
    JobID,
    NodeID,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)

__all__ = [
    "OPTIMIZED", "ActorClassID", "ActorID", "BaseID", "ClusterID", "DynamicObjectRefGenerator",
    "FunctionID", "JobID", "NodeID", "ObjectID", "ObjectRef", "ObjectRefGenerator",
    "PlacementGroupID", "TaskID", "UniqueID", "WorkerID",
]  # fmt: skip

OPTIMIZED = True
"""There is no other build."""


class ClusterID(UniqueID):
    """Of a cluster."""
