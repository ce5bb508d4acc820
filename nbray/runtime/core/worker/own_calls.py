"""What an actor runs that nobody has called: its `__init__`, and the call by which it ends.

Owns the specs of these two. Does not own their running (the shell's `executor`).
"""

from __future__ import annotations

from nbray.wire.messages import ActorSpec, Spec


def constructor_spec(spec: ActorSpec) -> Spec:
    """What `__init__` of this actor runs by."""
    return _own(spec, "__init__")


def end_spec(spec: ActorSpec) -> Spec:
    """What the end of this actor runs by, when nobody has a handle any more."""
    return _own(spec, "__ray_terminate__")


def _own(spec: ActorSpec, name: str) -> Spec:
    return Spec(
        id=0, function=b"", name=name, num_returns=1, retry_on=b"", cell=spec.cell,
        job=spec.job, depth=1, resources=spec.resources, namespace=spec.namespace,
    )  # fmt: skip
