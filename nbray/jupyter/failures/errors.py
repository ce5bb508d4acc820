"""How errors look in a notebook: one sentence for mistakes, a short traceback for tasks.

Owns the rendering only. Rules: the user's own line comes first, the error's
type and text and the node are always there, library frames are folded. Errors
that nbray has not raised are IPython's business, as ever.
"""

from __future__ import annotations

import asyncio
import copy
import os
import re
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from nbray import session
from nbray.exceptions import RayError, RayTaskError, told_of
from nbray.jupyter.cells import stop
from nbray.jupyter.notebook import current
from nbray.jupyter.printed.file_names import cell_name, named
from nbray.postmortem import WHERE, counted
from nbray.view.failure import traceback_html

FOLDED = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python3\.\d+)[/\\]")
"""Files whose frames are the libraries' business."""
_OWN = str(Path(__file__).absolute().parents[2]) + os.sep
_HANDLER = str(Path(stop.__file__).absolute())
_FRAME = re.compile(
    r'^(?P<margin>(?: *\| )?)  File "(?P<file>.*)", line (?P<line>\d+)(?:, in (?P<name>.*))?$'
)
"""With a margin where it belongs to a group of exceptions."""
_PLACE = re.compile(r"^(?P<file>.*), line (?P<line>\d+), in (?P<name>.*)$")
_TRACEBACK = re.compile(
    r"^(?: *\| | *\+ Exception Group )?Traceback \(most recent call last\):$", re.MULTILINE
)
_RED, _CYAN, _BOLD, _DIM, _END = "\x1b[31m", "\x1b[36m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


def readable(lines: list[str]) -> list[str]:
    """*lines* as they can be read in a notebook: bold where a terminal has colours.

    JupyterLab draws errors on a coloured ground, and none of its sixteen colours has a
    contrast of 4.5 on it in both themes (red on the dark one has 2.1, cyan on the light one 1.6).
    """
    if current().cells.kernel is None:
        return lines
    return [line.replace(_RED + _BOLD, _BOLD).replace(_RED, _BOLD).replace(_CYAN, _BOLD)
            for line in lines]  # fmt: skip


class NotebookError(RayError):
    """What a magic could not do, as one sentence; shown without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return readable([f"{_RED}{self}{_END}"])


class Stopped(KeyboardInterrupt):
    """The Stop button ended a cell's work; shown as one line."""

    def _render_traceback_(self) -> list[str]:
        return readable([f"{_RED}Stopped{_END}: {self}"])


def show(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
    tb_offset: int | None = None,
) -> list[str]:
    """IPython's handler for the errors in `SHOWN` (see `set_custom_exc`); returns the lines."""
    task = told_of(error)
    current().interrupts.told()
    if task is None and _stopped(error):
        _brief(error)
        error = KeyboardInterrupt()
    elif task is None and not isinstance(error, RayError | KeyboardInterrupt):
        steps = _steps(trace) if isinstance(error, MISTAKES) else []
        if not steps:
            if session.live() is not None:
                from nbray.exceptional import note_read_only  # late: after an error

                note_read_only(error)
            shell.showtraceback((kind, error, trace), running_compiled_code=True)
            return []
        lines = [f"{_RED}{_BOLD}{type(error).__name__}{_END}: {error}", *steps]
        sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # %tb shows it all
        shell._showtraceback(kind, error, readable(lines))
        _fold_out("".join(traceback.format_exception(kind, error, trace)).rstrip())
        return lines
    kept: RayError | None = task
    if isinstance(error, RayError) and not isinstance(error, NotebookError):
        kept = error
    if kept is not None:
        remember(kept)
    if task is not None:
        lines = render(task, trace)
    elif isinstance(error, NotebookError | Stopped):
        lines = error._render_traceback_()
    elif isinstance(error, KeyboardInterrupt):
        _without_handler(trace)
        if kind is KeyboardInterrupt and not _inside(trace):
            lines = shell.InteractiveTB.structured_traceback(
                kind, error, trace, tb_offset=tb_offset
            )
        else:
            lines = [f"{_RED}Stopped{_END}: the cell's tasks are cancelled", *_waiting(trace)]
            _brief(error)
    else:
        lines = [*_other(error), *_waiting(trace)]
    # The documented hook of IPython's front ends: the kernel sends it, a terminal prints it.
    lines = readable(lines)
    shell._showtraceback(kind, error, lines)
    if task is not None:
        _fold_out(_parts(task.traceback_str)[1].rstrip())
    return lines


def ours(error: BaseException, trace: TracebackType | None) -> bool:
    """Whether nbray has raised *error*, or passed it on from a task, or was interrupted in it."""
    if told_of(error) is not None or isinstance(error, RayError | Stopped):
        return True
    if isinstance(error, KeyboardInterrupt):
        return _inside(trace)
    if _stopped(error):
        return True
    return isinstance(error, MISTAKES) and bool(_steps(trace))


def _stopped(error: BaseException) -> bool:
    """Whether this is how the Stop button ends a cell that awaits something."""
    run = session.run.get()
    return isinstance(error, asyncio.CancelledError) and run is not None and run.stopped


def _brief(error: BaseException) -> None:
    """IPython formats each error once more, for its history: of the Stop button a line is enough.

    With all source lines of all frames that would take long, on a busy machine, while the user
    waits for the cell to end.
    """
    error._render_traceback_ = lambda: [f"{type(error).__name__}: stopped"]  # type: ignore[attr-defined]


def _steps(trace: TracebackType | None) -> list[str]:
    """The user's frames of a mistake that nbray itself has found; none if it was not nbray."""
    frames = [frame for frame in traceback.extract_tb(trace) if not _machinery(frame.filename)]
    if not frames or not frames[-1].filename.startswith(_OWN):
        return []
    lines = []
    for frame in frames:
        if frame.filename.startswith(_OWN) or not frame.line:
            continue
        inside = "" if frame.name == "<module>" else f" in {frame.name}"
        lines += [
            f"{_CYAN}{cell_name(frame.filename)}{_END}, line {frame.lineno}{inside}",
            f"    {frame.line.strip()}",
        ]
    return lines


def _machinery(file: str) -> bool:
    """Whether a frame's *file* is a library's, IPython's among them."""
    return FOLDED.search(file) is not None and not file.startswith(_OWN)


def remember(error: RayError | None) -> None:
    """Keep *error* for `%nbray debug` (None: none), without the notebook's own frames."""
    kept = None
    if error is not None:
        kept = copy.copy(error)
        kept.__traceback__ = kept.__context__ = kept.__cause__ = None
        if isinstance(kept, RayTaskError) and isinstance(error, RayTaskError):
            kept.alike, kept.among = error.alike, error.among
    current().last_error = kept


def last() -> RayError | None:
    """The last error that was shown."""
    return current().last_error


MISTAKES = (TypeError, ValueError, AttributeError, RuntimeError)
"""What nbray raises for mistakes of its callers."""
SHOWN = (Exception, KeyboardInterrupt, asyncio.CancelledError)
"""The errors that `show` is asked about: what nbray raises, mistakes of its callers included, what
a task raised and a pool raises as it was, and the Stop button, which cancels what a cell awaits;
all else it leaves to IPython."""


def render(error: RayTaskError, trace: TracebackType | None = None) -> list[str]:
    """A task's error as lines with ANSI colours; *trace* is where the notebook waited for it."""
    lines = [heading(error)]
    own = _own_line(error.traceback_str)
    lines += own
    lines += _waiting(trace)
    rest = fold(error.traceback_str)
    if own:
        rest = _without(rest, own)
    lines += rest
    last = "".join(traceback.format_exception_only(error.cause)).rstrip()
    if _plain(lines[-1]) != last.splitlines()[-1]:
        lines.append(f"{_RED}{last}{_END}")
    return lines


def _other(error: BaseException) -> list[str]:
    """An error that is no task's; one that tells of an `__init__` is folded as a task's is."""
    first, _, rest = named(str(error)).partition("\n")
    lines = [f"{_RED}{_BOLD}{type(error).__name__}{_END}: {first}"]
    own = _own_line(rest)
    if not own:
        return [*lines, *rest.splitlines()]
    return [*lines, *own, *_without(fold(rest), own)]


def heading(error: RayTaskError) -> str:
    """'ValueError in f on lab, pid 12 (192 of 200 tasks failed the same way)', in colours."""
    where = f" on {error.node}" if error.node else ""
    pid = f", pid {error.pid}" if error.pid else ""
    same = ""
    if error.alike > 1:
        same = f"{_END}{_BOLD} ({counted(error.alike, error.among, error.frames)})"
    return (
        f"{_RED}{_BOLD}{type(error.cause).__name__}{_END}{_DIM} in {error.function_name}"
        f"{where}{pid}{same}{_END}"
    )


def _own_line(text: str) -> list[str]:
    """The user's innermost line, with the values on it, as the error's summary has them."""
    place, *rest = _parts(text)[0].splitlines() or [""]
    match = _PLACE.match(place)
    if match is None:
        return []
    lines = [_frame(match)]
    for line in rest:
        if not line.startswith("    "):
            break
        value = line.startswith(f"    {WHERE}")
        lines.append(f"{_DIM}{line}{_END}" if value else line)
    return lines


def _parts(text: str) -> tuple[str, str]:
    """An error of a task: (the summary, if it has one, and the traceback)."""
    begin = _TRACEBACK.search(text)
    return (text[: begin.start()], text[begin.start() :]) if begin is not None else ("", text)


def _without(lines: list[str], own: list[str]) -> list[str]:
    """*lines* without the frame that is shown already, if it is shown just so."""
    shown = [line for line in own if WHERE not in line]
    for at in range(len(lines) - len(shown) + 1):
        if [_plain(line) for line in lines[at : at + len(shown)]] == [_plain(o) for o in shown]:
            end = at + len(shown)
            while end < len(lines) and set(lines[end].strip()) <= set("^~ ") and lines[end].strip():
                end += 1  # the marks below the line
            return lines[:at] + lines[end:]
    return lines


def _fold_out(full: str) -> None:
    """Under the cell: the whole traceback, to be folded out; nothing where nothing is folded."""
    frames = [match for line in full.splitlines() if (match := _FRAME.match(line))]
    hidden = sum(
        FOLDED.search(frame["file"]) is not None or frame["file"].startswith(_OWN)
        for frame in frames
    )
    own = current().cells
    if not hidden or own.kernel is None:
        return
    text = f"({hidden} library frames are folded: %nbray debug shows everything)"
    html = traceback_html(full, len(frames), hidden)
    own.display(session.cell.get(), {"text/html": html, "text/plain": text})


def fold(text: str) -> list[str]:
    """A traceback as Python prints it, its library frames replaced by one line each run.

    Errors of tasks come with a summary above the traceback, which would be said twice.
    """
    lines: list[str] = []
    folded = 0
    margin = ""
    hidden = False
    seen = False
    for line in _parts(text)[1].rstrip().splitlines():
        frame = _FRAME.match(line)
        if frame is not None:
            if folded and frame["margin"] != margin:
                lines.append(_folded(folded, margin))
                folded = 0
            margin = frame["margin"]
            hidden = FOLDED.search(frame["file"]) is not None
            seen = True
            if hidden:
                folded += 1
                continue
        elif hidden and seen and line.startswith(f"{margin}    "):
            continue
        else:
            hidden = False
        if folded:
            lines.append(_folded(folded, margin))
            folded = 0
        lines.append(_frame(frame) if frame is not None else line)
    if folded:
        lines.append(_folded(folded, margin))
    return [line for line in lines if not _TRACEBACK.match(line)]


def _folded(count: int, margin: str = "") -> str:
    return f"{margin}{_DIM}  ... {count} library frame{'s' if count > 1 else ''}{_END}"


def _frame(frame: re.Match[str]) -> str:
    inside = f" in {frame['name']}" if frame["name"] not in (None, "<module>") else ""
    margin = frame.groupdict().get("margin") or ""
    return f"{margin}{_CYAN}{cell_name(frame['file'])}{_END}, line {frame['line']}{inside}"


def _waiting(trace: TracebackType | None) -> list[str]:
    """Where the notebook waited: the user's last line before nbray's first."""
    at: traceback.FrameSummary | None = None
    for frame in traceback.extract_tb(trace):
        if frame.filename.startswith(_OWN):
            break
        if frame.line and not FOLDED.search(frame.filename):
            at = frame
    # The line of a magic cell is IPython's call of the magic, which the user did not write.
    if at is None or at.line is None or "run_cell_magic" in at.line:
        return []
    return [f"{_DIM}  awaited at line {at.lineno}: {at.line.strip()}{_END}"]


def _inside(trace: TracebackType | None) -> bool:
    """Whether nbray itself was interrupted, waiting, rather than the user's own code."""
    return any(frame.f_code.co_filename.startswith(_OWN) for frame, _ in traceback.walk_tb(trace))


def _without_handler(trace: TracebackType | None) -> None:
    """Cut the frames of nbray's SIGINT handler off the end: they are not where the cell was."""
    while trace is not None and trace.tb_next is not None:
        if trace.tb_next.tb_frame.f_code.co_filename == _HANDLER:
            trace.tb_next = None
            return
        trace = trace.tb_next


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
