"""Whether the Ray cluster still runs under this driver: seen at once, and said once.

Ray ends the whole process, the notebook's kernel too, when its driver uses a cluster that is gone.
So a thread holds a connection to the node's own process, which closes when that ends, and looks now
and then whether the head answers. Rule: who has seen the end tells the engine first, and then
disconnects, which wakes whoever waits.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import ray

from nbray.engines.ray import private

LOOK_SECONDS = 2.0
"""Seconds between two looks at the head."""
PATIENCE = 20.0
"""Seconds for which the head may not answer; Ray itself ends the process after 60."""


class Watch:
    """Calls *ended* with a sentence when the cluster of this driver has ended.

    Args:
        address: host:port of the head.
    """

    def __init__(self, address: str, ended: Callable[[str], None]) -> None:
        self._head = address.rpartition(":")
        self._ended = ended
        self._socket: socket.socket | None = None
        self._over = threading.Event()
        path = private.node_socket()
        if path:
            with contextlib.suppress(OSError):
                one = socket.socket(socket.AF_UNIX)
                one.connect(path)
                one.settimeout(LOOK_SECONDS)
                self._socket = one
        self._thread = threading.Thread(target=self._watch, name="nbray-ray-watch", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        seen = time.monotonic()
        while not self._over.is_set():
            if self._gone():
                self._tell("the process of Ray's node on this machine is gone")
                return
            if self._over.is_set():
                return
            if self._answers():
                seen = time.monotonic()
            elif time.monotonic() - seen > PATIENCE:
                where = "".join(self._head)
                self._tell(f"the head of the Ray cluster at {where} does not answer any more")
                return

    def _gone(self) -> bool:
        """Whether the node's process has closed the connection; waits `LOOK_SECONDS` for that."""
        if self._socket is None:
            self._over.wait(LOOK_SECONDS)
            return False
        try:
            return not self._socket.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self._head[0], int(self._head[2])), LOOK_SECONDS):
                return True
        except (OSError, ValueError):
            return False

    def _tell(self, why: str) -> None:
        if not self._over.is_set():
            self._ended(why)
            with contextlib.suppress(Exception):  # it is gone, whatever Ray says of that
                ray.shutdown()

    def close(self) -> None:
        """Watch no longer; where the end was seen, returns once this process is disconnected."""
        self._over.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()
