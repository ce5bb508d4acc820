"""Names of `ray` that are no public API, or that nbray has no other use for.

Owns what `ray.NAME` is where nbray itself has no such name.
"""

from __future__ import annotations

from nbray import _private
from nbray._private import worker as worker
from nbray._private.stand_ins import _raylet as _raylet
from nbray._private.stand_ins import autoscaler as autoscaler
from nbray._private.stand_ins import internal as internal
from nbray._private.stand_ins import widgets as widgets
from nbray._private.stand_ins._raylet import ClusterID, ObjectID
from nbray._private.stand_ins.autoscaler import sdk as _sdk  # noqa: F401 - it is an attribute then
from nbray._private.worker import (
    LOCAL_MODE,
    RESTORE_WORKER_MODE,
    SCRIPT_MODE,
    SPILL_WORKER_MODE,
    WORKER_MODE,
)

__commit__ = ""
"""Of which revision it is: wheels do not say."""

__all__ = [
    "LOCAL_MODE", "RESTORE_WORKER_MODE", "SCRIPT_MODE", "SPILL_WORKER_MODE", "WORKER_MODE",
    "ClusterID", "ObjectID", "__commit__", "_private", "_raylet", "autoscaler", "internal",
    "widgets", "worker",
]  # fmt: skip
