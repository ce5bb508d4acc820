"""Lines in a process's own log, and what hinders them.

Owns writing to the log, which never raises and never waits for anything, and what is wrong with
the disk on which it lies. Does not own the log's file (root opens it). Rule: logging never ends
anything; what could not be written is counted and said where people look.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

LEAST = 64 * 1024
"""Bytes; with fewer left a disk is full."""
AGAIN = 60.0
"""Seconds for which a line that says the same is not written again (see `Notes.rarely`)."""


def flush_streams() -> None:
    """Flush this process's streams at its end: users' code may have made them anything, or none."""
    for name in ("stdout", "stderr"):
        with contextlib.suppress(BaseException):
            getattr(sys, name).flush()


class Notes:
    """The log of this process, which is called *who* there.

    Args:
        descriptor: where the lines go.
    """

    def __init__(self, who: str = "", descriptor: int = 2) -> None:
        self.who = who
        self.lost = 0
        """Lines that could not be written."""
        self._descriptor = descriptor
        self._said: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Write a line."""
        stamp = time.strftime("%H:%M:%S")
        who = f" {self.who}:" if self.who else ""
        line = f"{stamp}{who} {text}\n".encode(errors="backslashreplace")
        try:
            written = os.write(self._descriptor, line)
        except OSError:  # the disk is full, or the file is gone: `hindrance` says so
            written = 0
        self.lost += written < len(line)

    def rarely(self, text: str, now: float) -> None:
        """Write a line, unless it was written in the last minute."""
        if now >= self._said.get(text, float("-inf")):
            if len(self._said) > 100:
                self._said.clear()
            self._said[text] = now + AGAIN
            self.say(text)


def hindrance(folder: str | Path) -> str:
    """What is wrong with the disk on which *folder* lies, in a sentence ('': nothing).

    It costs one system call.
    """
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return f"{folder} cannot be used ({error.strerror}): logs are lost"
    if found.f_bavail * found.f_frsize < LEAST:
        lacks = "the disk"
    elif found.f_files and not found.f_favail:
        lacks = "the disk (its table of files)"
    else:
        return ""
    return (
        f"{lacks} under {folder} is full: work goes on, but logs and what C code prints are lost "
        "until there is room again (or set NBRAY_RUN_DIR to another disk)"
    )
