"""nbray's references and Ray's: which name means which, and who counts.

Owns the table from an object's (or actor's) key to what Ray has for it. Ray counts: a reference of
nbray's holds Ray's own, and lets go of it when it ends. Rule: the table keeps nothing alive.
"""

from __future__ import annotations

import zlib
from typing import Any
from weakref import WeakValueDictionary

import ray

from nbray import session
from nbray.engine import Engine
from nbray.engines.ray import private
from nbray.exceptions import ObjectLostError
from nbray.ids import ObjectKey
from nbray.refs import ObjectRef

_63_BITS = (1 << 63) - 1


class Held:
    """One of Ray's references or actor handles, for as long as one of nbray's holds it."""

    __slots__ = ("__weakref__", "ray")

    def __init__(self, theirs: Any) -> None:
        self.ray = theirs

    def __call__(self, _key: ObjectKey) -> None:
        """A reference of nbray's has ended: nothing is to be done, Ray counts its own."""


def key_of(theirs: Any) -> ObjectKey:
    """What names Ray's reference or actor handle here, in two numbers of 63 bits.

    An object's id has 28 bytes in Ray: 8 of its task alone, 16 of the task's actor and job, and
    4 that number it among what that task made. The 16 are shortened to 31 bits.
    """
    if isinstance(theirs, ray.ObjectRef):
        return key_of_bytes(theirs.binary())
    data = private.actor_id(theirs)
    return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")


def key_of_bytes(data: bytes) -> ObjectKey:
    """The same of the bytes of an object's id."""
    middle = zlib.crc32(data[8:-4]) & 0x7FFFFFFF
    index = int.from_bytes(data[-4:], "little")
    return int.from_bytes(data[:8], "big") & _63_BITS, middle << 32 | index


class Table:
    """What this process knows of Ray's references."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[ObjectKey, Held] = WeakValueDictionary()

    def hold(self, theirs: Any) -> ObjectRef[Any]:
        """nbray's reference for Ray's."""
        key = key_of(theirs)
        held = self._held.get(key)
        if held is None:
            self._held[key] = held = Held(theirs)
        engine = session.current() or session.require()
        return ObjectRef(key[0], key[1], engine, held)

    def reference(self, owner: int, seq: int) -> ObjectRef[Any]:
        """One more reference to what is known by this key (or lost: its `get` says so)."""
        engine = session.current() or session.require()
        return ObjectRef(owner, seq, engine, self._held.get((owner, seq)))

    def of(self, key: ObjectKey) -> Any:
        """What Ray has under this key.

        Raises:
            ObjectLostError: nothing here holds it.
        """
        held = self._held.get(key)
        if held is None:
            raise ObjectLostError(
                f"the object {key[0]:016x}{key[1]:016x} is not known here: nothing held it any more"
            )
        return held.ray


table = Table()


def theirs(ref: ObjectRef[Any]) -> Any:
    """Ray's reference, or actor handle, for *ref*.

    Raises:
        RaySystemError: it belongs to a cluster that has ended.
        ObjectLostError: nothing here holds it.
    """
    made: Engine | None = ref._engine
    if made is not session.current() and (made is None or made.ended):
        raise ref.ended()
    held = ref._drop
    if isinstance(held, Held):
        return held.ray
    return table.of(ref.key)
