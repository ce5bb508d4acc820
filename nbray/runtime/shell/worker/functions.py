"""The functions and classes that a worker has loaded, by their hash.

Owns them, and letting go of those that are large and idle or not defined any more. Does not own the
modules that they need (`hosting.imports`), nor the bytes (the brain's).
"""

from __future__ import annotations

import contextlib
import gc
import pickle
from collections.abc import Callable
from typing import Any

from nbray.definitions import remember_source
from nbray.exceptions import (
    ObjectStoreFullError,
    RayError,
    RaySystemError,
    RuntimeEnvSetupError,
    on_behalf,
    told_of,
)
from nbray.hosting.imports import Imports
from nbray.hosting.modules import Packed
from nbray.refs import ObjectRef
from nbray.runtime.core.worker.brain import WorkerBrain
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory
from nbray.runtime.shell.worker.entering import Enter, no_environment
from nbray.wire.messages import ActorSpec
from nbray.wire.pickling import unpack

LARGE_SECONDS = 3.0
"""Seconds that a function which lies in the store stays loaded without being used."""
COLLECT_SECONDS = 0.5
"""Least time between two collections of functions that are not defined any more."""


class Functions:
    """Those of one worker."""

    def __init__(self, brain: WorkerBrain, loop: Loop, memory: Memory, imports: Imports) -> None:
        self._brain = brain
        self._loop = loop
        self._memory = memory
        self._imports = imports
        self._loaded: dict[bytes, Callable[..., Any]] = {}
        self._large: dict[bytes, tuple[Callable[..., Any], float]] = {}
        """Functions that lie in the store, and when they were last used."""
        self._litter = False
        """Functions were unloaded since garbage was last collected, at `_collected`."""
        self._collected = 0.0
        self.enter: Enter = no_environment
        self._retry_on: dict[bytes, tuple[type[BaseException], ...]] = {}

    def get(self, digest: bytes) -> Callable[..., Any]:
        """The loaded function or class of this hash."""
        function = self._loaded.get(digest) or self._used(digest)
        if function is None:
            known = self._brain.functions
            filename, source, blob, modules, *inside = pickle.loads(known[digest])
            if modules != self._imports.digest:
                # Functions that use another version's modules are loaded anew when called.
                self._loaded.clear()
                self._imports.use(Packed(modules, inside[0] if inside else known[modules]))
            if source and filename:
                remember_source(filename, source)
            try:
                function = unpack(blob, self._memory.restore)
            except RaySystemError as error:
                raise error.__cause__ or error from None
            if isinstance(function, ObjectRef):  # a large one, in the store
                function = self._memory.fetched(function)
                self._large[digest] = (function, self._loop.now())
            else:
                self._loaded[digest] = function
        return function

    def class_of(self, spec: ActorSpec) -> Any:
        """The class of an actor, in whose environment this process is from now on."""
        if spec.env is not None:
            self.enter(spec.env, spec.job, spec.cell)
        return self.get(spec.function)

    def _used(self, digest: bytes) -> Callable[..., Any] | None:
        """A large function that is loaded, marked as used now."""
        found = self._large.get(digest)
        if found is None:
            return None
        self._large[digest] = (found[0], self._loop.now())
        return found[0]

    def let_go(self, now: float) -> None:
        """Unload large functions that are not used: what they took along lies in the store.

        What was unloaded because its definition went is collected, too.

        In the loop thread; a function that runs is held by its call.
        """
        idle = [digest for digest, (_, used) in list(self._large.items())
                if now - used > LARGE_SECONDS]  # fmt: skip
        for digest in idle:
            self._large.pop(digest, None)
        if idle or (self._litter and now - self._collected > COLLECT_SECONDS):
            self._litter = False
            self._collected = now
            gc.collect()  # a function and its globals hold each other

    def undefine(self) -> None:
        """Unload functions whose last definition went; what they took along is let go."""
        gone: list[bytes] = []
        self._loop.locked(lambda: gone.extend(self._brain.let_go()))
        for digest in gone:
            self._loaded.pop(digest, None)
            self._large.pop(digest, None)
        self._litter = self._litter or bool(gone)

    def retries(self, retry_on: bytes, error: BaseException) -> bool:
        """Whether *error* is one on which a task with this option is tried again."""
        if isinstance(error, RuntimeEnvSetupError):
            return False
        if retry_on == b"*":
            return not isinstance(error, (ObjectStoreFullError, KeyboardInterrupt, SystemExit))
        kinds = self._retry_on.get(retry_on)
        if kinds is None:
            with contextlib.suppress(Exception):
                kinds = tuple(unpack(retry_on, self._memory.restore))
            kinds = self._retry_on[retry_on] = kinds or ()
        return isinstance(error, kinds)


def not_loaded(error: Exception, name: str, node_name: str) -> None:
    """A definition or its arguments could not be loaded here: say so in the error."""
    why = error.client_exc if type(error) is RaySystemError else error
    if isinstance(why, RayError | str) or told_of(error) is not None:
        return  # of a task whose result was an argument
    where = f"on {node_name}"
    if isinstance(why, ImportError):
        note = f"({name} needs it {where}: install it there)"
    else:
        note = f"(while {name} and its arguments were loaded {where})"
    on_behalf(error).__dict__["__notes__"] = [*getattr(error, "__notes__", ()), note]
