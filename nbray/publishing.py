"""Data published by name, for other notebooks on the same cluster: `nbray.publish`, `published`.

Owns the functions and the actor that keeps what was published. Does not own how the list looks
(`nbray.view.published`). Rules: what is published belongs to the cluster, and stays when the
notebook ends; it goes when it is freed, or with the cluster. The actor keeps values pickled, with
their arrays apart, and never makes objects of them: users' classes need not be known to it, and
readers map the one copy.
"""

from __future__ import annotations

import io
import os
import pickle
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from nbray import definitions, own_actors, session
from nbray.api import get, put
from nbray.refs import ObjectRef

NAME = "published"
NAMED = 20
"""Names that an error gives."""


class Published(msgspec.Struct, frozen=True):
    """One value that was published."""

    name: str
    namespace: str
    size: int
    """Bytes."""
    kind: str
    """Its type."""
    at: float
    """When, in seconds since the epoch."""
    by: str
    """'pid 4321 on lab': who published it."""


class PublishedList(list[Published]):
    """All that is published; a notebook shows it as a table."""

    def __repr__(self) -> str:
        from nbray.view.published import published_text

        return published_text(self, time.time())

    def _repr_html_(self) -> str:
        from nbray.view.published import published_html

        return published_html(self, time.time())


class Sealed:
    """A value pickled, with its arrays apart: whoever has no use for it never unpickles it."""

    def __init__(self, stream: bytes, buffers: Sequence[Any]) -> None:
        self.stream = stream
        self.buffers = buffers

    def __reduce__(self) -> Any:
        return Sealed, (self.stream, [pickle.PickleBuffer(one) for one in self.buffers])

    def open(self) -> Any:
        """The value; its arrays lie where the buffers do."""
        return pickle.loads(self.stream, buffers=self.buffers)


class _Pickler(definitions.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is ObjectRef:
            raise TypeError(
                "publish(): the value holds references, and what they name ends with this process: "
                "publish nbray.get(ref)"
            )
        return super().reducer_override(obj)


def _sealed(value: Any) -> Sealed:
    buffers: list[Any] = []
    with io.BytesIO() as file:
        _Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
        return Sealed(file.getvalue(), [one.raw() for one in buffers])


class _Keeper:
    """What is published, by namespace and name."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Published, ObjectRef[Any]]] = {}

    def keep(self, told: Published, sealed: Any) -> None:
        """Keep a value: put once more, for what its publisher put ends with that."""
        self._kept[told.namespace, told.name] = told, put(sealed)

    def find(self, namespace: str, name: str) -> tuple[list[ObjectRef[Any]], list[str]]:
        """([the reference], []), or ([], the names that there are)."""
        found = self._kept.get((namespace, name))
        if found is not None:
            return [found[1]], []
        return [], sorted(other for space, other in self._kept if space == namespace)

    def list(self) -> list[Published]:
        """All of it, in the order of their names."""
        return [self._kept[key][0] for key in sorted(self._kept)]

    def free(self, namespace: str, name: str) -> bool:
        """Keep it no longer; whether it was kept."""
        return self._kept.pop((namespace, name), None) is not None


def _ask(method: str, *arguments: Any, make: bool = False) -> Any:
    """What the actor answers; None: there is none, for nothing was ever published."""
    session.require()
    return own_actors.ask(_Keeper, NAME, method, *arguments, make=make)


def publish(name: str, value: Any, *, namespace: str = "") -> None:
    """See `nbray.publish`."""
    _check(name, namespace)
    if isinstance(value, ObjectRef):
        value = get(value)
    sealed = _sealed(value)
    size = len(sealed.stream) + sum(memoryview(one).nbytes for one in sealed.buffers)
    engine = session.require()
    seen = engine.context.runtime()
    host = next(
        (str(row["NodeManagerHostname"]) for row in engine.cluster.nodes()
         if row["NodeID"] == seen.node_id), "",
    )  # fmt: skip
    kind = type(value)
    module = "" if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}."
    by = f"pid {os.getpid()}" + (f" on {host}" if host else "")
    told = Published(name, namespace, size, f"{module}{kind.__qualname__}", time.time(), by)
    _ask("keep", told, put(sealed), make=True)


def published(name: str | None = None, *, namespace: str = "") -> Any:
    """See `nbray.published`."""
    if name is None:
        return PublishedList(_ask("list") or ())
    _check(name, namespace)
    refs, others = _ask("find", namespace, name) or ([], [])
    if not refs:
        raise ValueError(_unknown(name, namespace, others))
    return get(refs[0]).open()


def unpublish(name: str, *, namespace: str = "") -> None:
    """See `nbray.unpublish`."""
    _check(name, namespace)
    if not _ask("free", namespace, name):
        others = [one.name for one in published() if one.namespace == namespace]
        raise ValueError(_unknown(name, namespace, others))


def _check(name: Any, namespace: Any) -> None:
    for what, given in (("name", name), ("namespace", namespace)):
        if not isinstance(given, str):
            raise TypeError(f"the {what} must be a str, not {type(given).__name__}")
    if not name:
        raise ValueError("the name must not be empty")


def _unknown(name: str, namespace: str, others: Sequence[str]) -> str:
    where = f" in namespace {namespace!r}" if namespace else ""
    names = ", ".join(map(repr, others[:NAMED])) + (", ..." if len(others) > NAMED else "")
    there = f"there is {names}" if len(others) == 1 else f"there are {names}"
    there = there if others else "nothing else is, either"
    return f"nothing is published as {name!r}{where}: {there} (see nbray.published())"


__all__ = ["Published", "PublishedList", "publish", "published", "unpublish"]
