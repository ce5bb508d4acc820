"""What came from tasks to be shown: messages as events, and events as text of this process.

Owns the translation, and how text looks where nobody else shows it (scripts).
"""

from __future__ import annotations

import contextlib
import sys

from nbray.events import Display, Output
from nbray.ids import node_of
from nbray.text import fitting
from nbray.wire import messages as m


def event_of(piece: m.Printed | m.Displayed, name: str) -> Output | Display:
    """The event of a message; *name* is its node's."""
    about = (piece.cell, node_of(piece.sender), name, piece.pid, piece.task)
    if isinstance(piece, m.Printed):
        return Output(*about, piece.stream, piece.text)
    return Display(*about, piece.data, piece.metadata, piece.display_id, piece.update)


def print_event(event: Output | Display) -> None:
    """The text on this process's own stream, each line after its origin."""
    if isinstance(event, Display):
        text, stream = f"{event.data.get('text/plain', '')}\n", sys.stdout
    else:
        text, stream = event.text, sys.stderr if event.stream == "stderr" else sys.stdout
    prefix = f"({event.task} pid={event.pid}) "
    lines = text.splitlines(keepends=True)
    said = "".join(prefix + line if line.strip() else line for line in lines)
    with contextlib.suppress(ValueError, OSError):  # the stream is closed: the program ends
        stream.write(fitting(said, getattr(stream, "encoding", None)))
        stream.flush()
