"""The ends of processes: noticing them, and saying in one sentence how they came.

Owns pidfds of processes that are not root's children (drivers). Does not own
root's own children (`root` reaps those). Rule: a process is dead when the
kernel says so.
"""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Protocol

from nbray.figures import memory
from nbray.runtime.shell.process.channel import Ended, exists


class Poller(Protocol):
    """What `select.poll()` and `zmq.Poller()` have in common."""

    def register(self, fd: int, flags: int = ..., /) -> None:
        """Look at *fd*."""

    def unregister(self, fd: int, /) -> None:
        """Look at *fd* no longer."""


class Watch:
    """Processes whose end is to be noticed, by client id."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[int, int]] = {}
        """pidfd to (client, pid)."""
        self._polled: dict[int, int] = {}
        """Client to pid, where there are no pidfds."""

    def add(self, client: int, pid: int, poller: Poller) -> bool:
        """Watch a process; False if it has ended already."""
        if not hasattr(os, "pidfd_open"):
            self._polled[client] = pid
            return exists(pid)
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        except OSError:
            self._polled[client] = pid  # an old kernel
            return exists(pid)
        self._watched[descriptor] = (client, pid)
        poller.register(descriptor, select.POLLIN)
        return True

    def forget(self, client: int, poller: Poller) -> None:
        """Watch a process no longer: its client has gone in order, it may go on."""
        self._polled.pop(client, None)
        for descriptor in [one for one, (who, _) in self._watched.items() if who == client]:
            del self._watched[descriptor]
            poller.unregister(descriptor)
            os.close(descriptor)

    @property
    def descriptors(self) -> list[int]:
        """What is to be polled."""
        return list(self._watched)

    def ended(self, events: Container[object], poller: Poller) -> Iterator[tuple[int, str]]:
        """(client, why) of those whose descriptor is among *events*."""
        for descriptor in [one for one in self._watched if one in events]:
            client, pid = self._watched.pop(descriptor)
            poller.unregister(descriptor)
            os.close(descriptor)
            yield client, f"its process (pid {pid}) ended"

    def polled(self) -> Iterator[tuple[int, str]]:
        """The same for processes without descriptors; to be called now and then."""
        for client, pid in list(self._polled.items()):
            if not exists(pid):
                del self._polled[client]
                yield client, f"its process (pid {pid}) ended"


def describe_end(
    ended: Ended, out_of_memory: bool, machine: str, limit: int = 0, words: str = ""
) -> str:
    """One sentence: which process, how it ended, how much memory it had held, of how much.

    *limit* is the bytes that the machine's processes may use together, *words* what it said last.
    """
    who = f"its process (pid {ended.pid}) on {machine}"
    if ended.signal:
        try:
            what = signal.Signals(ended.signal).name
        except ValueError:
            what = f"signal {ended.signal}"
        text = f"{who} was killed by {what}"
        if out_of_memory:
            text += ", because the machine ran out of memory"
    else:
        text = f"{who} exited with code {ended.code}"
    if words:
        text += f": {words}"
    of = f" of the {memory(limit)} there are" if limit else ""
    return f"{text}; it had used up to {memory(ended.max_rss)}{of}"


_CRASHED = re.compile(r"^Fatal Python error: (?P<what>.*)$", re.MULTILINE)
_AT = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$', re.MULTILINE)
_LIBRARY = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python3\.\d+|nbray)[/\\]")


def last_words(text: str, number: int) -> str:
    """What a process that signal *number* ended had to say: where it crashed, or its last line.

    *text* is the end of what it wrote to its stderr.
    """
    if number not in {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}:
        return ""
    crash = max(_CRASHED.finditer(text), key=re.Match.start, default=None)
    before = text[: crash.start()] if crash is not None else text
    spoken = [line for line in before.strip().splitlines() if line.strip()]
    said = spoken[-1][:200] if spoken and number == signal.SIGABRT else ""
    if crash is None:
        return said
    frames = list(_AT.finditer(text, crash.end()))
    own = next((frame for frame in frames if not _LIBRARY.search(frame["file"])), None)
    where = f" at {own['file']}, line {own['line']}, in {own['name']}" if own is not None else ""
    return f"{crash['what']}{where}" + (f" ({said})" if said else "")


def sentence(error: OSError) -> str:
    """What an `OSError` says, without its number."""
    return error.strerror or str(error)


def last_line(text: str) -> str:
    """The last line of *text* that says something, '' if there is none."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def read(path: Path) -> str:
    """The text of a log, '' if it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
