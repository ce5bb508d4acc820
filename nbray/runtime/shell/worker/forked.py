"""The end of a process that a task has forked, where the task's code comes back in it.

Owns what stands there for the worker's own parts. Does not own what the forked
process does before that, which is the user's. Rule: it is another process than the
worker, so it answers for nothing, takes no work, and uses none of its connections.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import NoReturn

from nbray.runtime.shell.process.log import flush_streams


class Left:
    """Stands for the worker's loop: whoever asks it for anything ends."""

    def __getattr__(self, name: str) -> NoReturn:
        _end(0)


def leave(_item: object, error: BaseException, _started: float) -> NoReturn:
    """End as a program does that raises *error*."""
    code: object = 1
    if isinstance(error, SystemExit):
        code = error.code
        if code is not None and not isinstance(code, int):
            with contextlib.suppress(Exception):  # it may be anything, or gone
                sys.stderr.write(f"{code}\n")
            code = 1
    else:
        with contextlib.suppress(Exception):  # users' classes raise what they like
            traceback.print_exception(error)
    _end(code if isinstance(code, int) else 0)


def _end(code: int) -> NoReturn:
    flush_streams()
    os._exit(code & 0xFF)
