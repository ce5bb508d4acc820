"""From a call of the inline engine's user to a `Call` that runs: functions loaded, threads begun.

Owns the functions as workers would have them, and whether the session is over.
Does not own a call's run (`running`).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any

from nbray import session
from nbray.engine import Function
from nbray.engines.inline.objects import Objects
from nbray.engines.inline.running import Call
from nbray.engines.inline.tally import Tally
from nbray.exceptions import RaySystemError
from nbray.refs import ObjectRef
from nbray.wire.functions import pack_function_with_refs, refuse_size
from nbray.wire.pickling import unpack
from nbray.wire.watched import Watch, same, watched


class _Loaded:
    """A function as workers would have it, and what it was pickled from."""

    __slots__ = ("blob", "call", "cell", "held", "watch")

    def __init__(self, call: Any, blob: bytes, held: list[ObjectRef[Any]]) -> None:
        self.call = call
        self.blob = blob
        self.held = held
        """What it captured."""
        self.cell = ""
        self.watch: Watch = ()


class Launcher:
    """Makes the calls of one session."""

    def __init__(self, objects: Objects, tally: Tally) -> None:
        self._objects = objects
        self._tally = tally
        self.closed = False

    def call(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        num_returns: int,
        method: str = "",
        counted: bool = True,
    ) -> Call:
        """A call that waits to be run."""
        self.check_open()
        call = Call(self._objects, name, args, kwargs, num_returns, session.cell.get(), method)
        call.counted = counted
        if counted:
            self._tally.started(call.cell)
        return call

    def now_or_later(self, call: Call, run: Callable[[], None]) -> None:
        """Run in this thread, or in one of its own if an argument must be waited for."""
        if not call.waits(self._objects):
            run()
            return
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(run,), daemon=True).start()

    def load(self, function: Function) -> Any:
        """The function as a worker would have it: pickled once, unpickled once."""
        self.check_open()
        known: _Loaded | None = function.cache.get(self)
        cell = session.cell.get()
        if known is None or known.cell != cell or not same(known.watch):
            _, blob, refs = pack_function_with_refs(function.call, function.name)
            if not cell:
                refuse_size(len(blob), function.call, function.name)
            if known is None or known.blob != blob:
                held = [self._objects.ref(owner, seq) for owner, seq in refs]
                known = _Loaded(unpack(blob, self._objects.ref), blob, held)
                function.cache[self] = known
            known.cell = cell
            known.watch = watched(function.call, len(blob))
        return known.call

    def check_open(self) -> None:
        """Refuse what comes after the session's end.

        Raises:
            RaySystemError: it has ended.
        """
        if self.closed:
            raise RaySystemError("this session has ended: call nbray.init() again")
