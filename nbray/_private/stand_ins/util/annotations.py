"""`ray.util.annotations`: marks by which Ray says how stable its interfaces are.

Libraries put them on their own functions and classes, too: those stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Deprecated", "DeveloperAPI", "PublicAPI", "RayDeprecationWarning"]


class RayDeprecationWarning(DeprecationWarning):
    """Something will not be there in a later version."""


def _mark(*args: Any, **_: Any) -> Any:
    """A decorator, with or without arguments, that changes nothing."""
    if len(args) == 1 and (callable(args[0]) or isinstance(args[0], type)):
        return args[0]

    def same(thing: Any) -> Any:
        return thing

    return same


PublicAPI: Callable[..., Any] = _mark
DeveloperAPI: Callable[..., Any] = _mark
Deprecated: Callable[..., Any] = _mark
