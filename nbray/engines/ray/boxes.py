"""Values of nbray inside Ray's objects: pickled as nbray pickles, carried and counted by Ray.

Owns the box in which a value travels: its pickle stream, its buffers, which Ray keeps out of its
own stream and never copies, and Ray's references for those inside. Does not own the references'
names (`references`). Rule: whoever reads a box, Ray's own libraries too, gets the value itself; one
that cannot be put together again is an `Unmade`, which this engine raises where it is asked for.
"""

from __future__ import annotations

import pickle
from typing import Any

import ray

from nbray.config import INLINE_LIMIT
from nbray.engines.ray import travelling
from nbray.engines.ray.references import table
from nbray.generators import DynamicObjectRefGenerator
from nbray.wire.failures import pack_error, unpack_error
from nbray.wire.pickling import Packed, pack, unpack_parts

_PLAIN = frozenset({int, float, str, bool, type(None)})
"""Kinds that Ray carries quickest as they are."""


class Unmade:
    """In the place of a value: an error, as `pack_error` made it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        return Unmade, (self.data,)


class Box:
    """A packed value on its way; it holds what Ray has for the references inside."""

    __slots__ = ("inside", "packed")

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        self.inside = [table.of(key) for key in packed.refs]

    def __reduce_ex__(self, protocol: Any) -> Any:
        packed = self.packed
        stream: Any = packed.stream
        if len(stream) > INLINE_LIMIT:
            stream = pickle.PickleBuffer(stream)
        buffers = [pickle.PickleBuffer(buffer) for buffer in packed.buffers]
        return open_box, (stream, buffers, self.inside, travelling.here().digest)


def boxed(value: Any, what: str) -> Any:
    """*value* as Ray is to carry it.

    Raises:
        TypeError: it cannot be pickled; names it as *what*.
    """
    if type(value) in _PLAIN:
        return value
    return Box(pack(value, what))


def received(value: Any) -> Any:
    """*value*, as Ray gave it for an argument or a reference.

    Raises:
        BaseException: it is an `Unmade`: the error that this stands for.
    """
    kind = type(value)
    if kind is Unmade:
        raise unpack_error(value.data)
    if kind is ray.DynamicObjectRefGenerator:
        return DynamicObjectRefGenerator(table.hold(one) for one in value)
    return value


def open_box(
    stream: Any, buffers: list[Any], inside: list[Any], modules: bytes = b""
) -> Any:
    """What a pickled box calls: its value, with references to what Ray counts for it."""
    kept = [table.hold(one) for one in inside]  # until the value has its own
    try:
        travelling.here().use(modules, exactly=False)
        views = [memoryview(buffer).cast("B").toreadonly() for buffer in buffers]
        return unpack_parts(stream, views, table.reference)
    except Exception as error:  # noqa: BLE001 - users' classes raise what they like when rebuilt
        return Unmade(pack_error(error, "", "", 0))
    finally:
        del kept
