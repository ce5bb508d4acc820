"""Running callbacks on a thread that holds no lock and drives no sockets.

Owns that thread, which starts with the first callback. Does not own what runs there.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import traceback
from collections.abc import Callable


class Callbacks:
    """Callbacks in the order in which they came, one at a time."""

    def __init__(self) -> None:
        self._actions: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def later(self, action: Callable[[], None]) -> None:
        """Run *action* soon; what it raises is printed."""
        self._actions.put(action)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nbray-callbacks", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread after what was handed to it so far."""
        self._actions.put(None)

    def _run(self) -> None:
        while (action := self._actions.get()) is not None:
            try:
                action()
            except BaseException:  # noqa: BLE001 - users' callbacks; others wait for theirs
                with contextlib.suppress(Exception):  # there may be no stderr
                    traceback.print_exc()
            del action  # it may hold a value, and the next one may be long in coming
