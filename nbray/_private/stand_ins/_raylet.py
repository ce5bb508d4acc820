"""`ray._raylet`: what there is C code in Ray."""

from __future__ import annotations

from nbray.refs import ObjectRef
from nbray.refs import ObjectRef as ObjectID

__all__ = ["OPTIMIZED", "ObjectID", "ObjectRef"]

OPTIMIZED = True
"""There is no other build."""
