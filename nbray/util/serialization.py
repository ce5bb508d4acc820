"""Serializers of users' classes: Ray's `ray.util.register_serializer`.

Owns which classes have one in this process. Does not own pickling (`nbray.definitions`). Rule:
how a value is read again travels with it, so whoever reads it needs no serializer; whoever sends
one of the class does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbray import definitions


def register_serializer(
    cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]
) -> None:
    """Pickle instances of *cls*, not of its subclasses, as what *serializer* makes of them.

    Args:
        cls: the class.
        serializer: instance -> something that can be pickled.
        deserializer: that -> an instance; it travels, and is called where the value is read.

    Raises:
        TypeError: *cls* is no class, or one of the others cannot be called.
    """
    kind: object = cls
    if not isinstance(kind, type):
        raise TypeError(f"register_serializer() takes a class, not {type(cls).__name__}")
    functions: tuple[object, ...] = (serializer, deserializer)
    if not all(map(callable, functions)):
        raise TypeError("serializer and deserializer are functions")
    definitions.reduce_by(cls, lambda value: (deserializer, (serializer(value),)))


def deregister_serializer(cls: type) -> None:
    """Pickle instances of *cls* as if nothing had been registered; without one nothing happens."""
    definitions.reduce_by(cls, None)
