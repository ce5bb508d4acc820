"""References as futures of `concurrent.futures`, and with them `await ref`.

Owns the futures that are not done. Does not own the thread that completes them
(`callbacks`) nor the reading of values (`memory`). Rule: none waits for ever; the
cluster's end completes all with its error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbray.exceptions import cluster_ended, in_future
from nbray.refs import ObjectRef
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.waiters import Future as Settled
from nbray.runtime.core.effects import ClientEffect
from nbray.runtime.shell.client.callbacks import Callbacks
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory, Vanished

if TYPE_CHECKING:
    from concurrent.futures import Future


def failed(error: BaseException) -> Future[Any]:
    """A future that has failed."""
    from concurrent.futures import Future  # late: with it comes `logging`

    future: Future[Any] = Future()
    future.set_exception(error)
    return future


class Futures:
    """Those of one client."""

    def __init__(
        self, loop: Loop, brain: ClientBrain, memory: Memory, callbacks: Callbacks
    ) -> None:
        self._loop = loop
        self._brain = brain
        self._memory = memory
        self._callbacks = callbacks
        self._open: dict[Callable[[], None], None] = {}
        """What completes each that is not done; changed under the loop's lock."""

    def of(self, ref: ObjectRef[Any]) -> Future[Any]:
        """A future (see `Engine.future`)."""
        from concurrent.futures import Future  # as in `failed`

        brain, memory = self._brain, self._memory
        entry = memory.entries([ref])[0]
        future: Future[Any] = Future()

        def complete() -> None:
            if not (future.running() or future.set_running_or_notify_cancel()):
                return
            try:
                if not entry.state:
                    raise cluster_ended(brain.ended)
                memory.localize([entry])
                value = memory.read(entry)
            except Vanished:  # its last copy is gone: it is made again
                self._loop.locked(register)
                return
            except BaseException as error:  # noqa: BLE001 - the future carries any error
                future.set_exception(in_future(error))
            else:
                future.set_result(value)
            del ref_held[:]

        ref_held = [ref]  # the object must live until it has been read

        def settle() -> None:
            if self._open.pop(complete, self) is None:
                self._callbacks.later(complete)

        def register() -> list[ClientEffect]:
            effects = brain.pump(self._loop.now())
            self._open[complete] = None
            if entry.state or brain.ended:
                settle()
            else:
                entry.put_waiter(Settled(settle))
                effects += brain.objects.ask([entry])
            return effects

        self._loop.locked(register)
        return future

    def end(self) -> None:
        """Complete all: the cluster has ended. Under the loop's lock."""
        for complete in list(self._open):
            if self._open.pop(complete, self) is None:
                self._callbacks.later(complete)
