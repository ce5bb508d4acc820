"""`ray.autoscaler`: what programs ask of one. nbray has none."""

from __future__ import annotations

from nbray._private.stand_ins.autoscaler import sdk as sdk

__all__ = ["sdk"]
