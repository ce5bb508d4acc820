"""`ray.types`: for annotations, `ObjectRef[int]`."""

from __future__ import annotations

from nbray.refs import ObjectRef as ObjectRef

__all__ = ["ObjectRef"]
