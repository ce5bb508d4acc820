"""Commands that end, with all that they have started, when who started them does.

Owns how a command line is run so. Does not own the process (`subprocess`, by its user). Rule: the
command is the leader of a session; the end of its standard input without a line ends all of it.
"""

from __future__ import annotations

import contextlib
import subprocess

_UNDER_WATCH = (
    "exec 3<&0 </dev/null; "
    "(if read _ <&3; then exit 0; else kill -9 0; fi) >/dev/null 2>&1 & "
    'exec 3<&-; eval "$1"'
)
"""A shell's program that runs $1."""


def under_watch(command: str) -> list[str]:
    """What runs the shell's *command* so: with `stdin=PIPE` and `start_new_session=True`."""
    return ["/bin/sh", "-c", _UNDER_WATCH, "sh", command]


def ended(process: subprocess.Popen[bytes]) -> None:
    """*process* has ended by itself: nobody is to watch any more; what it left running stays."""
    with contextlib.suppress(OSError):  # who watches may be gone
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
