"""Ray's `ray.experimental`: of it, where objects lie, bars in tasks (`tqdm_ray`), and
what all processes of a cluster share (`internal_kv`)."""

from __future__ import annotations

from nbray.experimental.locations import get_local_object_locations, get_object_locations

__all__ = ["get_local_object_locations", "get_object_locations"]


def __getattr__(name: str) -> object:
    if name == "tqdm_ray":
        import nbray.experimental.tqdm_ray as bars

        return bars
    if name == "internal_kv":
        import nbray.experimental.internal_kv as kept

        return kept
    if name == "set_resource":
        why = "resources are given when a node starts (--resources)"
    else:
        why = "tensors between GPUs and other experiments of Ray's are not here"
    raise AttributeError(f"module 'nbray.experimental' has no attribute {name!r}: {why}")
