"""Ray's `ray.experimental`: of it, bars in tasks (`tqdm_ray`)."""

from __future__ import annotations

_ABSENT = {
    "get_local_object_locations": "nbray.util.state.list_objects() says where objects are",
    "get_object_locations": "nbray.util.state.list_objects() says where objects are",
    "set_resource": "resources are given when a node starts (--resources)",
}


def __getattr__(name: str) -> object:
    why = _ABSENT.get(name, "tensors between GPUs and other experiments of Ray's are not here")
    raise AttributeError(f"module 'nbray.experimental' has no attribute {name!r}: {why}")
