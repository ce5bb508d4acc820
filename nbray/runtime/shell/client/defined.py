"""Functions and classes as they travel: pickled, named by their hash, with what they captured.

Owns the pickled form of each definition, the references inside it, and whether it
is still what the user's names mean. Does not own specs (`calls`) nor which worker
knows what (`core.client.sent_definitions`).

Rules. What runs is what the names meant when the call was made: the first call of
each cell pickles again, and every call compares what the function's global names
and closure stand for with what they stood for (in-place changes are seen once a
cell only). A definition lives while something here can call it; tasks hold by
themselves what it captured.
"""

from __future__ import annotations

import contextlib
import pickle
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from nbray import session
from nbray.config import LARGE_FUNCTION
from nbray.engine import Function
from nbray.exceptions import ObjectStoreFullError
from nbray.hosting.imports import Imports
from nbray.hosting.modules import Modules, Packed
from nbray.refs import ObjectRef
from nbray.runtime.shell.client.memory import Memory
from nbray.wire.digest import digest as name_of
from nbray.wire.functions import digest_of, pack_definition, refuse_size, warn_of_size
from nbray.wire.messages import Ref
from nbray.wire.pickling import Packed as Pickled
from nbray.wire.pickling import pack
from nbray.wire.watched import Watch, same, watched

RECENT = 64
"""Small definitions that live on for a while: loops make the same function again and again."""
SMALL = 16 * 1024
"""Bytes up to which a definition is one of them."""


class Definition:
    """A function or class of one hash. Whoever can call it holds it."""

    __slots__ = ("__weakref__", "_ended", "blob", "captured", "digest", "modules", "refs")

    def __init__(
        self, digest: bytes, blob: bytes, modules: Packed, captured: tuple[Ref, ...],
        refs: list[ObjectRef[Any]], ended: Callable[[bytes], None],
    ) -> None:  # fmt: skip
        self.digest = digest
        self.blob = blob
        self.modules = modules
        self.captured = captured
        """Every object that it can reach."""
        self.refs = refs
        """They hold what is captured, as long as it can be called."""
        self._ended = ended

    def __del__(self) -> None:
        self._ended(self.digest)


class _Made:
    """What was made of one `Function`, and of what."""

    __slots__ = ("by", "captured", "cell", "definition", "filename", "inner", "modules", "packed",
                 "refs", "target", "watch")  # fmt: skip

    def __init__(self, by: Definitions, target: Any, inner: bytes, packed: Pickled) -> None:
        self.by = by
        self.target = target
        self.inner = inner
        """The hash of the pickled form alone."""
        self.packed = packed
        self.filename = ""
        self.captured: tuple[Ref, ...] = ()
        self.refs: list[ObjectRef[Any]] = []
        self.watch: Watch = ()
        self.cell = ""
        self.modules: Packed | None = None
        self.definition: Definition | None = None


class Definitions:
    """Those of one client."""

    def __init__(
        self, memory: Memory, modules: Modules | Imports, ended: Callable[[bytes], None]
    ) -> None:
        self._memory = memory
        self._modules = modules
        self._ended = ended
        self._by_digest: weakref.WeakValueDictionary[bytes, Definition] = (
            weakref.WeakValueDictionary()
        )
        self._recent: deque[Definition] = deque(maxlen=RECENT)

    def defined(self, digest: bytes) -> bool:
        """Whether something here can call the function of this hash."""
        return digest in self._by_digest

    def modules_changed(self) -> None:
        """Names may be other modules from now on (see `session.on_modules`)."""
        self._modules.changed()

    def watch(self, function: Function) -> Watch:
        """What is to be compared at each call of *function*, see `same`."""
        made: _Made | None = function.cache.get("made")
        return made.watch if made is not None else ()

    def of(self, function: Function) -> Definition:
        """The definition of a function or class as it is now.

        With modules that have changed since, it is another one.

        Raises:
            TypeError: it captures something that cannot be pickled.
            ValueError: it takes too much along, outside of cells.
            RaySystemError: it captures something of a cluster that has ended.
        """
        cell = session.cell.get()
        modules = self._modules.packed(cell)
        target = self._modules.target(function)
        made: _Made | None = function.cache.get("made")
        if made is not None and made.by is not self:
            made = None  # of a cluster that has ended
        if (
            made is None or made.target is not target or made.cell != cell or not same(made.watch)
        ):
            made = self._make(function, target, made)
            made.cell = cell
        found = made.definition
        if found is None or made.modules is not modules:
            found = made.definition = self._define(function, made, modules)
            made.modules = modules
        return found

    def portable(self, function: Function) -> tuple[Definition, bytes]:
        """A class and its pickled form with its modules inside: for what outlives its maker."""
        definition = self.of(function)
        inside = (*pickle.loads(definition.blob), definition.modules.data)
        return definition, pickle.dumps(inside, 5)

    def _make(self, function: Function, target: Any, before: _Made | None) -> _Made:
        """*target*, which stands for *function*, pickled; *before* again if it is that still."""
        packed = pack_definition(target, function.name)
        inner = digest_of(packed)
        watch = watched(target, packed.size)
        if before is not None and before.inner == inner and before.target is target:
            before.watch = watch
            return before
        captured = packed.refs
        stored: ObjectRef[Any] | None = None
        if packed.size > LARGE_FUNCTION:
            if not session.cell.get():  # a cell of a notebook is told, and goes on
                refuse_size(packed.size, target, function.name)
            warn_of_size(target, function.name)
            if not isinstance(target, type):
                from nbray.unraised_exceptions import OutOfDiskError  # late: hardly ever

                # Where there is no room it travels in messages.
                with contextlib.suppress(ObjectStoreFullError, OutOfDiskError):
                    # A reference stands for it: each node fetches it once, each worker looks.
                    stored = self._memory.put(packed, f"the function {function.name}")
                    packed = pack(stored)
        made = _Made(self, target, inner, packed)
        made.watch = watch
        made.captured = (*packed.refs, *captured) if stored is not None else captured
        made.refs = [self._memory.restore(*key) for key in made.captured]
        code = getattr(function.call, "__code__", None)
        made.filename = getattr(code, "co_filename", "")
        if not made.filename and function.source:
            made.filename = _class_file(function.call)
        function.cache["made"] = made
        function.cache.pop("works", None)
        return made

    def _define(self, function: Function, made: _Made, modules: Packed) -> Definition:
        blob = made.packed.join()
        digest = name_of(name_of(blob) + modules.digest)
        found = self._by_digest.get(digest)
        if found is None:
            source = function.source if made.target is function.call else ""
            whole = pickle.dumps((made.filename, source, blob, modules.digest), 5)
            found = Definition(digest, whole, modules, made.captured, made.refs, self._ended)
            self._by_digest[digest] = found
        if len(found.blob) <= SMALL and not found.captured:
            self._recent.append(found)
        return found


def _class_file(cls: Any) -> str:
    for base in getattr(cls, "__mro__", ()):
        if "__ray_ready__" in vars(base):
            continue  # what every actor has (`actor_methods.extended`), and nothing of the user's
        for member in vars(base).values():
            code = getattr(member, "__code__", None)
            if code is not None:
                return str(code.co_filename)
    return ""
