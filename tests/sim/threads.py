"""Threads of simulated processes: ordinary code that blocks in virtual time.

Owns the switching between such code and the world (a greenlet each), and how it ends.
Does not own what is waited for (`clients`). Rules: only the world's events resume a
thread; a dead process's threads are never resumed, as the kernel runs nothing of it
any more, and are taken down when the story is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, greenlet

if TYPE_CHECKING:
    from sim.api import Api
    from sim.clients import ClientProcess

_running: list[Thread] = []
"""The thread whose code runs now, behind those that run none."""


class Thread:
    """Code of one process, from its first event to its end."""

    def __init__(
        self, process: ClientProcess, code: Callable[[], Any],
        ended: Callable[[Any], None] = lambda _result: None,
    ) -> None:  # fmt: skip
        self._process = process
        self._world = process.world
        self._code = code
        self._ended = ended
        self._turn = 0
        self._waits: Callable[[], bool] | None = None
        self._signal: Callable[[], None] | None = None
        self._greenlet = greenlet(self._run, self._world.hub)
        self.drives = False
        """It waits in its process's loop."""
        process.threads.append(self)
        self._world.threads.append(self)
        self._world.at(0.0, self._resume, 0)

    def _run(self) -> None:
        result = self._code()
        self._process.threads.remove(self)
        self._ended(result)

    def _resume(self, turn: int) -> None:
        if self._process.stands(self._resume, turn):
            return
        if turn != self._turn or not self._process.alive or self._greenlet.dead:
            return
        self._turn += 1
        self._waits = None
        _running.append(self)
        try:
            self._greenlet.switch()
        finally:
            _running.pop()
        self._process.notice()

    # -- in the thread's own code ------------------------------------------------------

    def block(self, until: float | None, done: Callable[[], bool] | None = None) -> None:
        """Let the world go on until this time, or until *done*, or until a signal comes."""
        world = self._world
        if not self._process.alive:
            self._leave()
        self._waits = done
        if until is not None:
            world.at(max(0.0, until - world.now), self._resume, self._turn)
        world.hub.switch()
        if world.over:
            raise GreenletExit
        signal, self._signal = self._signal, None
        if signal is not None:
            signal()

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass, whatever signals come."""
        world = self._world
        until = world.now + seconds
        while True:
            self.block(until)
            if world.now >= until:
                return

    def _leave(self) -> None:
        """The process is dead: nothing of it runs any more."""
        while not self._world.over:
            self._world.hub.switch()
        raise GreenletExit

    def exit(self) -> None:
        """The process ends at once, as with `os._exit`."""
        self._process.end("exited with code 1")
        self._leave()

    # -- from outside -------------------------------------------------------------------

    def look(self) -> None:
        """Go on if what it waits for has come."""
        if self._waits is not None and self._waits():
            self._world.at(5e-6, self._resume, self._turn)

    def interrupt(self, signal: Callable[[], None]) -> None:
        """Have the thread run *signal* where it stands; it may raise."""
        self._signal = signal
        self._resume(self._turn)

    def close(self) -> None:
        """The story is over: unwind the code."""
        for _ in range(100):  # it may catch anything, and wait again
            if self._greenlet.dead or not self._greenlet:
                return
            _running.append(self)
            try:
                self._greenlet.throw(GreenletExit)
            finally:
                _running.pop()
        raise AssertionError(f"a thread of {self._process.me} does not end")


def here() -> Api:
    """The API of the process whose code runs."""
    return _running[-1]._process.api


def sleep(seconds: float) -> None:
    """Let *seconds* of virtual time pass."""
    _running[-1].sleep(seconds)


def thread() -> Thread:
    """The thread whose code runs."""
    return _running[-1]
