"""Ray's remote debugger: `nbray.util.pdb.set_trace()` in a task waits for `nbray debug`.

Owns the debugger at the task's end, and how one finds and reaches it: a Unix socket, and a note
beside it, in the session's private folder, so that nobody else can reach it. Does not own the
command (`nbray.commands.breakpoints`), nor `%nbray debug`, which looks at a task that has failed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pdb  # noqa: T100 - this is one
import socket
import sys
import time
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from nbray import session

__all__ = ["post_mortem", "set_trace"]

PREFIX = "breakpoint-"
_NUMBERS = itertools.count(1)


class _Remote(pdb.Pdb):
    """A debugger over *connection*; it lets go when the task goes on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # One that reads and one that writes: a stream for both forgets what it has read ahead.
        self._reads = connection.makefile("r", encoding="utf-8", errors="replace")
        self._writes = connection.makefile("w", encoding="utf-8", errors="replace")
        super().__init__(stdin=self._reads, stdout=self._writes, skip=["nbray.*"])
        self.use_rawinput = False
        self.prompt = "(Pdb) "

    def _let_go(self) -> None:
        for one in (self._writes, self._reads, self._connection):
            with contextlib.suppress(OSError):
                one.close()

    def do_continue(self, arg: str) -> bool | None:
        """Go on; the debugger lets go, unless it has breakpoints."""
        found = super().do_continue(arg)
        if not self.breaks:
            self._let_go()
        return found

    do_c = do_cont = do_continue

    def do_quit(self, arg: str) -> bool | None:
        """End the task with `bdb.BdbQuit`."""
        self._let_go()
        return super().do_quit(arg)

    do_q = do_exit = do_quit

    def do_EOF(self, _arg: str) -> bool | None:  # noqa: N802 - cmd's name
        """Whoever was connected has gone: the task goes on."""
        self.clear_all_breaks()
        self.set_continue()
        self._let_go()
        return True


def set_trace(breakpoint_uuid: Any = None) -> None:  # noqa: ARG001 - Ray's
    """Stop here until `nbray debug`, on the same machine, connects; then it is pdb.

    Raises:
        RuntimeError: the engine in use has no processes of its own, where pdb itself does.
    """
    frame = sys._getframe(1)
    _waited_for(frame).set_trace(frame)


def post_mortem() -> None:
    """The same at the place where the exception was raised that is being handled.

    Raises:
        ValueError: none is.
    """
    found = sys.exc_info()[2]
    if found is None:
        raise ValueError("post_mortem() looks at an exception that is being handled: there is none")
    debugger = _waited_for(sys._getframe(1))
    debugger.reset()
    with contextlib.suppress(OSError):
        debugger.interaction(None, found)
    debugger._let_go()


def _waited_for(frame: FrameType) -> _Remote:
    """A debugger, once somebody has connected."""
    here = session.require().context.runtime()
    if not here.session_dir:
        raise RuntimeError("this engine runs all in one process: use pdb itself")
    name = f"{PREFIX}{os.getpid()}-{next(_NUMBERS)}"
    path, note = (Path(here.session_dir) / f"{name}.{end}" for end in ("sock", "json"))
    raised: tuple[Any, Any, TracebackType | None] = sys.exc_info()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        stack.callback(path.unlink, missing_ok=True)
        stack.callback(note.unlink, missing_ok=True)
        listener.bind(str(path))
        listener.listen(1)
        note.write_text(json.dumps({
            "task": here.task_name or here.function or "driver", "pid": os.getpid(),
            "filename": frame.f_code.co_filename, "lineno": frame.f_lineno,
            "traceback": "".join(traceback.format_exception(*raised)) if raised[0] else "",
            "timestamp": time.time(), "task_id": here.task_id, "worker_id": here.worker_id,
            "actor_id": here.actor_id, "node_id": here.node_id,
        }))  # fmt: skip
        sys.stderr.write(
            f"RemotePdb session open at {frame.f_code.co_filename}:{frame.f_lineno}, "
            "use 'nbray debug' on this machine to connect...\n"
        )
        sys.stderr.flush()
        connection, _ = listener.accept()
    return _Remote(connection)
