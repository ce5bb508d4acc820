"""A failed task's stack: its frames with their lines and locals, folded.

Owns the look only. Does not own what was captured (`nbray.postmortem`). Rule:
the frame that is looked at is open, libraries' are folded, nothing is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbray.figures import noun, plain
from nbray.postmortem import Frame, Local
from nbray.view import ansi
from nbray.view.render import render_exact


class _Shown(msgspec.Struct, frozen=True):
    """A frame as the template has it."""

    number: int
    place: str
    library: bool
    open: bool
    source: tuple[tuple[int, str, bool], ...]
    locals: tuple[Local, ...]
    left_out: str


def place(frame: Frame) -> str:
    """'Cell In[3], line 4 in f'."""
    inside = f" in {frame.name}" if frame.name != "<module>" else ""
    return plain(f"{frame.file}, line {frame.line}{inside}")


def failure_html(
    title: str, facts: str, frames: Sequence[Frame], selected: int, full: str, note: str = ""
) -> str:
    """The post-mortem: *title* and *facts* of the error, its frames, the *full* traceback."""
    shown = tuple(
        _Shown(
            number=number,
            place=place(frame),
            library=frame.library,
            open=number == selected,
            source=tuple((line, text, line == frame.line) for line, text in frame.source),
            locals=frame.locals,
            left_out=noun(frame.left_out, "more name") if frame.left_out else "",
        )
        for number, frame in enumerate(frames)
    )
    return render_exact(
        "failure", title=title, facts=facts, frames=shown, full=ansi.stripped(full), note=note
    )


def failure_text(
    title: str, facts: str, frames: Sequence[Frame], selected: int, full: str, note: str = ""
) -> str:
    """The same as text: all frames by number, the selected one with its locals."""
    lines = [f"{title}", f"  {facts}"] if facts else [title]
    for number, frame in enumerate(frames):
        mark = ">" if number == selected else " "
        kind = "  (library)" if frame.library else ""
        lines.append(f"{mark} {number}  {place(frame)}{kind}")
        if number != selected:
            continue
        for line, text in frame.source:
            arrow = "->" if line == frame.line else "  "
            lines.append(f"      {arrow} {line:4}  {text}")
        wide = max((len(one.name) for one in frame.locals), default=0)
        lines += [f"      {one.name.ljust(wide)} = {one.text}" for one in frame.locals]
        if frame.left_out:
            lines.append(f"      ... {noun(frame.left_out, 'more name')}")
    if note:
        lines.append(note)
    if not frames:
        lines.append(ansi.stripped(full))
    return "\n".join(lines)


def traceback_html(full: str, frames: int, hidden: int) -> str:
    """A whole traceback, folded into one line."""
    heading = f"{noun(frames, 'frame')}, {hidden} of libraries"
    return render_exact("traceback", full=ansi.stripped(full), heading=heading)
