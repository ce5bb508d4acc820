"""`ray.internal`: empty, as in Ray, where what it had has moved."""

from __future__ import annotations

__all__: list[str] = []
