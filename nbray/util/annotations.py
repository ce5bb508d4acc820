"""Ray's `ray.util.annotations`: decorators that say how stable an interface is.

Owns the marks. They change nothing but the object's attribute and, where asked, its
docstring; `Deprecated(warning=True)` warns at each call.
"""

from __future__ import annotations

import enum
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["AnnotationType", "Deprecated", "DeveloperAPI", "PublicAPI", "RayDeprecationWarning"]

T = TypeVar("T")


class AnnotationType(enum.Enum):
    """What a mark says."""

    PUBLIC_API = "PublicAPI"
    DEVELOPER_API = "DeveloperAPI"
    DEPRECATED = "Deprecated"
    UNKNOWN = "Unknown"


class RayDeprecationWarning(DeprecationWarning):
    """Something is used that will go away."""


def PublicAPI(*args: Any, stability: str = "stable", api_group: str = "Others") -> Any:  # noqa: N802 - Ray's
    """Mark what users may use: `@PublicAPI`, or `@PublicAPI(stability="beta")`.

    Raises:
        ValueError: *stability* is none of 'stable', 'beta', 'alpha'.
    """
    if stability not in {"stable", "beta", "alpha"}:
        raise ValueError(f"stability must be 'stable', 'beta' or 'alpha', not {stability!r}")
    return _marker(args, AnnotationType.PUBLIC_API, api_group)


def DeveloperAPI(*args: Any) -> Any:  # noqa: N802 - Ray's
    """Mark what people who extend it may use."""
    return _marker(args, AnnotationType.DEVELOPER_API, "Others")


def Deprecated(*args: Any, message: str = "", warning: bool = False) -> Any:  # noqa: N802 - Ray's
    """Mark what will go away; with *warning*, each call warns with *message*."""
    if args:
        return _marked(args[0], AnnotationType.DEPRECATED, "Others")

    def mark(thing: T) -> T:
        marked = _marked(thing, AnnotationType.DEPRECATED, "Others")
        return _warning(marked, message) if warning else marked

    return mark


def _marker(args: tuple[Any, ...], kind: AnnotationType, group: str) -> Any:
    if args:
        return _marked(args[0], kind, group)
    return lambda thing: _marked(thing, kind, group)


def _marked(thing: T, kind: AnnotationType, group: str) -> T:
    holder: Any = thing
    name = getattr(thing, "__name__", None)
    if name is not None:
        holder._annotated = name
        holder._annotated_type = kind
        holder._annotated_api_group = group
    return thing


def _warning(thing: Any, message: str) -> Any:
    text = message or f"{getattr(thing, '__name__', thing)} is deprecated"

    def warn() -> None:
        warnings.warn(text, RayDeprecationWarning, stacklevel=3)

    if inspect.isclass(thing):
        made: Callable[..., None] = thing.__init__

        @functools.wraps(made)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is one
            warn()
            made(self, *args, **kwargs)

        setattr(thing, "__init__", __init__)  # noqa: B010 - mypy knows no other way
        return thing

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        warn()
        return thing(*args, **kwargs)

    return call
