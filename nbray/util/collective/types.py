"""Names of backends and of ways to reduce (Ray's `ray.util.collective.types`)."""

from __future__ import annotations

import enum


class Backend:
    """`Backend("gloo")` is the name in the form that is compared: 'GLOO'.

    Raises:
        ValueError: the name is none of 'nccl', 'gloo', 'torch_gloo'.
    """

    NCCL = "NCCL"
    GLOO = "GLOO"
    UNRECOGNIZED = "unrecognized"

    def __new__(cls, name: str) -> str:  # type: ignore[misc]  # Ray's: a class of names
        upper = name.upper()
        if upper == "TORCH_GLOO":
            return cls.GLOO
        if upper not in {cls.NCCL, cls.GLOO}:
            raise ValueError(
                f"Unrecognized backend: '{name}'. Only NCCL and GLOO are supported"
            )
        return upper


class ReduceOp(enum.Enum):
    """How values of the members become one."""

    SUM = 0
    PRODUCT = 1
    MIN = 2
    MAX = 3
