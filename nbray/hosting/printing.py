"""What tasks printed and showed, as text of this process: where no notebook shows it (scripts).

Rule: a stream that is closed, or was never there, is no error of whoever printed.
"""

from __future__ import annotations

import contextlib
import sys

from nbray.events import Display, Output
from nbray.text import fitting


def print_event(event: Output | Display) -> None:
    """The text on this process's own stream, each line after its origin."""
    if isinstance(event, Display):
        text, stream = f"{event.data.get('text/plain', '')}\n", sys.stdout
    else:
        text, stream = event.text, sys.stderr if event.stream == "stderr" else sys.stdout
    prefix = f"({event.task} pid={event.pid}) "
    lines = text.splitlines(keepends=True)
    said = "".join(prefix + line if line.strip() else line for line in lines)
    if stream is None:
        return  # the program was started without it
    with contextlib.suppress(ValueError, OSError):  # the stream is closed: the program ends
        stream.write(fitting(said, getattr(stream, "encoding", None)))
        stream.flush()
