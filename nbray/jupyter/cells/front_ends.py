"""Front ends that draw no updates: what was shown once stays as it is.

Owns the telling of them. jupyter console, qtconsole and `jupyter run` are programs that
start their kernel themselves, and nothing in their requests tells them from others; so
the program that started this kernel is looked at. A console that was attached to a
running kernel (`--existing`) is not found out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_PROGRAMS = re.compile(r"\bjupyter[-_](?:qt)?console\b|\bjupyter-run\b|\bqtconsole\b")


def draws_updates(parent: int | None = None) -> bool:
    """Whether the program that started this kernel draws updates of displays."""
    pid = os.getppid() if parent is None else parent
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:  # no /proc here, or it is gone
        return True
    return _PROGRAMS.search(command.decode(errors="replace")) is None
