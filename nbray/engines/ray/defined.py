"""Functions and classes as Ray knows them: exported once, and again when their names mean another.

Owns whether what was exported is still what the user's names mean, as it is natively: the first
call of each cell pickles again, and every call compares what the names stood for. Does not own how
a definition runs (`worker`, `resident`).
"""

from __future__ import annotations

from typing import Any

import ray

from nbray import session
from nbray.config import LARGE_FUNCTION
from nbray.engine import Function
from nbray.engines.ray import travelling
from nbray.engines.ray.boxes import Box
from nbray.engines.ray.worker import Definition, Stored
from nbray.wire.functions import digest_of, pack_definition, refuse_size, warn_of_size
from nbray.wire.watched import Watch, same, watched


class Defined:
    """What an engine keeps of one function or class.

    Attributes:
        definition: what travels inside the trampoline.
        remotes: Ray's functions or class made of it, by what each is for.
        ready: by the identity of frozen options, those and Ray's function with them.
    """

    __slots__ = ("_cell", "_engine", "_inner", "_target", "_watch", "definition", "ready",
                 "remotes")  # fmt: skip

    def __init__(self, engine: Any, target: Any, inner: bytes, definition: Any) -> None:
        self._engine = engine
        self._target = target
        self._inner = inner
        self._cell = ""
        self._watch: Watch = ()
        self.definition = definition
        self.remotes: dict[Any, Any] = {}
        self.ready: dict[int, tuple[Any, Any]] = {}


def defined(engine: Any, function: Function) -> Defined:
    """*function* as it is now, for *engine*.

    Raises:
        TypeError: it captures something that cannot be pickled.
        ValueError: it takes too much along, outside of cells.
    """
    cell = session.cell.get()
    target = travelling.here().target(function)
    known: Defined | None = function.cache.get("ray")
    if known is not None and (known._engine is not engine or known._target is not target):
        known = None
    if known is not None and known._cell == cell and same(known._watch):
        return known
    packed = pack_definition(target, function.name)
    inner = digest_of(packed)
    if known is None or known._inner != inner:
        definition: Any = Definition(function.name, packed)
        if packed.size > LARGE_FUNCTION:
            if not cell:  # a cell of a notebook is told, and goes on
                refuse_size(packed.size, target, function.name)
            warn_of_size(target, function.name)
            definition = Stored(function.name, ray.put(Box(packed)))
        known = function.cache["ray"] = Defined(engine, target, inner, definition)
    known._cell, known._watch = cell, watched(target, packed.size)
    return known
