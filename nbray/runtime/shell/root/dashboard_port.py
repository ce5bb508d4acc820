"""The dashboard's port while nobody looks: listened at, and a process woken by whoever comes.

Owns the listening socket of the cluster's dashboard, the process that serves it
(`nbray.dashboard`, known here by its name only), and the pauses after one that
ended badly. Does not own reaping: root calls `ended`. Rules: it reads nothing
and lets nobody in. Who comes waits in the kernel's queue until the process, to
which the socket is handed down, takes him; until then the port costs a
descriptor. The process gone, the next one to come wakes another. A child that
root forks closes the socket at once, or the port would stay taken.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from nbray.config import DASHBOARD_PORT, DASHBOARD_PORTS
from nbray.runtime.shell.process.channel import Front

LOOPBACK = "127.0.0.1"
STEADY = 10.0
"""Seconds that a process must have served for its bad end to be the first one again."""
SILENCE = 30
"""Seconds that the kernel keeps (at least) a connection on which nothing is said."""
LONGEST_PAUSE = 60.0
"""Seconds that pass at most before another is tried."""
_LOG = "dashboard.log"
_PROGRAM = "import sys; sys.path.append({0!r}); from nbray.dashboard.__main__ import main; main()"
_SORRY = (
    "The dashboard has failed: `nbray dashboard` in a terminal says why. "
    "It is tried again when somebody comes in {0} s or later.\n"
)


class DashboardPort:
    """The port, and whoever answers there.

    Args:
        directory: the session's folder.
        poll: where the socket is looked at while no process serves it.
        spawn: starts the process with its orders and the socket; its pid.
    """

    def __init__(
        self,
        directory: Path,
        poll: select.poll,
        spawn: Callable[[Path, bytes, int], int] | None = None,
    ) -> None:
        self._directory = directory
        self._poll = poll
        self._spawn = spawn or _start
        self._socket: socket.socket | None = None
        self._pid = 0
        self._woken = 0.0
        self._failures = 0
        self._silent_until = 0.0
        self.front = Front()
        """Where it is, for the session's record."""

    @property
    def fd(self) -> int:
        """Readable when somebody has come (-1: there is no port)."""
        return self._socket.fileno() if self._socket is not None else -1

    def bind(self, wanted: int = 0) -> None:
        """Listen at port *wanted*, or (0) at the usual one or the next that is free.

        With 0 it is no error if all of them are taken: `front` says so.

        Raises:
            OSError: *wanted* is taken; says so.
        """
        last = DASHBOARD_PORT + DASHBOARD_PORTS - 1
        why = ""
        for port in [wanted] if wanted else range(DASHBOARD_PORT, last + 1):
            try:
                self._socket = socket.create_server((LOOPBACK, port), backlog=64)
            except OSError as error:
                why = error.strerror or str(error)
                continue
            self._socket.setblocking(False)
            if hasattr(socket, "TCP_DEFER_ACCEPT"):
                # Who says nothing is left to the kernel: he wakes nobody and costs no descriptor.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SILENCE)
            self._poll.register(self._socket.fileno(), select.POLLIN)
            self.front = Front(port, os.urandom(24).hex())
            return
        if wanted:
            raise OSError(f"port {wanted} cannot be used for the dashboard: {why}")
        self.front = Front(
            why=f"none of the ports {DASHBOARD_PORT} to {last} on {LOOPBACK} can be used: {why}"
        )

    def wake(self, now: float) -> None:
        """Somebody has come: wake the process, or say that it has to be waited for."""
        if self._socket is None or self._pid:
            return
        if now < self._silent_until:
            self._turn_away(now)
            return
        order = {
            "directory": str(self._directory),
            "port": self.front.port,
            "key": self.front.key,
            "listening": self._socket.fileno(),
        }
        self._woken = now
        try:
            self._pid = self._spawn(
                self._directory, msgspec.json.encode(order), self._socket.fileno()
            )
        except OSError as error:
            self._failed(f"its process cannot be started: {error.strerror}", now)
        else:
            self._poll.unregister(self._socket.fileno())

    def ended(self, pid: int, status: int, now: float) -> None:
        """A child of root's has been reaped; perhaps the dashboard's process."""
        if not self._pid or pid != self._pid:
            return
        self._pid = 0
        if self._socket is None:
            return
        self._poll.register(self._socket.fileno(), select.POLLIN)
        code = os.waitstatus_to_exitcode(status)
        if code:
            if now - self._woken >= STEADY:
                self._failures = 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._failed(f"it ended with {how} after {now - self._woken:.1f} s", now)
        else:
            self._failures = 0

    def _failed(self, why: str, now: float) -> None:
        """The first time the next one to come wakes another; then there are pauses."""
        self._failures += 1
        pause = min(LONGEST_PAUSE, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0
        self._silent_until = now + pause
        with contextlib.suppress(OSError), (self._directory / _LOG).open("a") as log:
            print(f"the dashboard: {why}; the next try in {pause:g} s or later", file=log)
        self._turn_away(now)  # or whoever waits would wake another at once

    def _turn_away(self, now: float) -> None:
        """Answer all who wait, without a word of what is behind the port."""
        assert self._socket is not None
        wait = max(1, round(self._silent_until - now))
        body = _SORRY.format(wait).encode()
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nRetry-After: {wait}\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        ).encode()
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return  # nobody is left
            with visitor, contextlib.suppress(OSError):
                visitor.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    visitor.recv(65536)  # unread, it would cut the answer short
                visitor.send(head + body)
                visitor.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """The cluster ends: the process, if there is one, says so to its pages and ends too."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGHUP)
        self.close()

    def close(self) -> None:
        """Hold the port no longer; in a forked child, that is all there is to do."""
        if self._socket is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._poll.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None


def _start(directory: Path, order: bytes, listening: int) -> int:
    """The dashboard's process, with its orders on standard input and the socket handed down."""
    reading, writing = os.pipe()
    null = log = -1
    try:
        os.write(writing, order)
        null = os.open(os.devnull, os.O_WRONLY)
        log = os.open(directory / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.set_inheritable(listening, True)
        home = str(Path(__file__).parents[4])
        return os.posix_spawn(
            sys.executable,
            # -P: a file in the working directory must not stand in for a module of ours.
            [sys.executable, "-P", "-c", _PROGRAM.format(home)],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reading, 0),
                (os.POSIX_SPAWN_DUP2, null, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
        )
    finally:
        os.set_inheritable(listening, False)
        for descriptor in (reading, writing, null, log):
            if descriptor >= 0:
                os.close(descriptor)
