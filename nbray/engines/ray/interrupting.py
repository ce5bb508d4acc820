"""Calls that are stopped while they run: a signal that raises in the bracket of the right call.

Owns the signal, the word that says which call is meant, and the handler. The warden (`warden`)
leaves the word and sends the signal. Rules: it raises in the main thread of the process only,
within the bracket of the call that the word names, and never within an import. The signal is not
SIGINT: Ray keeps that blocked, so that Ctrl-C in a terminal reaches no worker, and `ray.cancel`
plays it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

from nbray.engines.ray import private
from nbray.hosting.imports import importing

SIGNAL = getattr(signal, "SIGRTMIN", signal.SIGUSR2) + 9 if hasattr(signal, "SIGRTMIN") else (
    signal.SIGUSR2
)
"""A real-time signal, which nobody else uses; where there are none, SIGUSR2."""
AGAIN = 0.05
"""Seconds until a signal that came within an import is tried again."""
STALE = 30.0
"""Seconds after which a word that nobody has taken is thrown away."""


def folder() -> Path:
    """Where words lie, for all processes of this user's Ray on this machine (0700)."""
    session = private.session_folder()
    home = Path(session or tempfile.gettempdir()) / f"nbray-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    return home


def leave_word(pid: int, call: int) -> bool:
    """Have process *pid*, of this machine, interrupt *call* if it runs it; False: it cannot."""
    if not _catches(pid):
        return False
    home = folder()
    for old in home.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > STALE:
                old.unlink()
    (home / f"{pid}-{call}").touch()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, SIGNAL)
        return True
    return False


def _catches(pid: int) -> bool:
    """Whether process *pid* has a handler for the signal, which else would end it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return not Path("/proc").exists()
    mask = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")), 0)
    return bool(mask >> (SIGNAL - 1) & 1)


class Interrupts:
    """Of one worker process."""

    def __init__(self) -> None:
        self._running: list[int] = []
        """The calls in the main thread, the innermost last."""
        self._home: Path | None = None
        self.raised: set[int] = set()
        """Calls in which it has raised."""

    def install(self) -> bool:
        """Hear the signal from now on; False: not the main thread, try again."""
        if self._home is not None:
            return True
        if threading.current_thread() is not threading.main_thread():
            return False
        self._home = folder()
        signal.signal(SIGNAL, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGNAL})
        return True

    def enter(self, call: int) -> None:
        """*call* begins, in the main thread."""
        self._running.append(call)

    def leave(self, call: int) -> bool:
        """It has ended; whether it was interrupted."""
        with contextlib.suppress(ValueError):
            self._running.remove(call)
        interrupted = call in self.raised
        self.raised.discard(call)
        return interrupted

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        home, pid = self._home, os.getpid()
        if home is None:
            return
        for call in self._running:
            word = home / f"{pid}-{call}"
            if not word.exists():
                continue
            if importing(frame):  # compiled modules cannot be imported a second time
                threading.Timer(AGAIN, os.kill, (pid, SIGNAL)).start()
                return
            with contextlib.suppress(OSError):
                word.unlink()
            self.raised.add(call)
            raise KeyboardInterrupt("cancelled")


interrupts = Interrupts()
