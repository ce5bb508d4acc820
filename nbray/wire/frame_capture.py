"""What a failed task leaves for looking at: the values on its line, its frames' locals.

Owns the capturing in the process where the task failed, and its bounds: 64 KB
of text and 1 MB of values an error, a quarter of a second, and in full only
for the first failures at a place, since 500 alike tell no more. Rule: nothing
here ever raises or changes the error; what finds no room says so.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import io
import keyword
import linecache
import re
import sys
import time
import traceback
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from nbray import session
from nbray.definitions import Pickler
from nbray.postmortem import Frame, Local, brief, pack_frames, unasked

MOST_TEXT = 64 * 1024
MOST_VALUES = 1 << 20
MOST_SECONDS = 0.25
MOST_FRAMES = 24
MOST_NAMES = 60
"""Names shown of one frame."""
FULL = 5
"""Failures at one place, for one run of a cell, whose frames are captured in this process."""
STRETCH = 10.0
"""Seconds after which they are captured again (outside notebooks there is but one cell)."""
AROUND = 3
"""Lines of source before and after."""
_NAMES = re.compile(r"(?<![\w.\"'])([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)?)(?!\w|\s*\()")
_STRINGS = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''|\"[^\"\\]*\"|'[^'\\]*'")
IsUser = Callable[[str], bool]
"""Whether a file is the user's own code."""


class _TooLarge(Exception):
    """More bytes than there is room for."""


class _Bounded(io.RawIOBase):
    """Collects what is written, up to a limit."""

    def __init__(self, most: int) -> None:
        self.parts: list[bytes] = []
        self.left = most

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.left -= size
        if self.left < 0:
            raise _TooLarge
        self.parts.append(bytes(data))
        return size


def values_on_line(error: BaseException, is_user: IsUser) -> list[str]:
    """'name = value' for the names on the user's line that failed; never raises."""
    try:
        at = None
        for frame, line in traceback.walk_tb(error.__traceback__):
            if is_user(frame.f_code.co_filename):
                at = (frame, line)
        if at is None:
            return []
        frame, line = at
        return _on_line(_statement(frame, line, error), frame.f_locals, frame.f_globals)
    except Exception:  # noqa: BLE001 - the error itself must come through, whatever its values are
        return []


def _statement(frame: types.FrameType, line: int, error: BaseException) -> str:
    """The source of the lines that failed (an expression may go over several)."""
    last = line
    for summary in traceback.extract_tb(error.__traceback__):
        if summary.filename == frame.f_code.co_filename and summary.lineno == line:
            last = max(last, min(summary.end_lineno or line, line + 5))
    return "".join(linecache.getline(frame.f_code.co_filename, n) for n in range(line, last + 1))


def _on_line(source: str, local: Mapping[str, Any], world: Mapping[str, Any]) -> list[str]:
    found: dict[str, str] = {}
    source = _STRINGS.sub("", source.partition("#")[0])
    for match in _NAMES.finditer(source):
        name, attribute = match[1], match[2]
        if keyword.iskeyword(name) or len(found) >= 8:
            continue
        if name in local:
            value = local[name]
        elif name in world and not name.startswith("__"):
            value = world[name]
        else:
            continue
        if attribute:
            # Only what is stored: a property could do anything.
            stored = getattr(value, "__dict__", {})
            if attribute[1:] in stored:
                name, value = name + attribute, stored[attribute[1:]]
        if not _is_code(value):
            found.setdefault(name, brief(value))
    return [f"{name} = {unasked(name, text)}" for name, text in found.items()]


def _is_code(value: Any) -> bool:
    return isinstance(
        value,
        (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, type),
    )


@cache
def _seen() -> Counter[tuple[str, str, int, str]]:
    return Counter()


@cache
def _since() -> list[float]:
    return [time.monotonic()]


def capture(error: BaseException, is_user: IsUser, is_own: IsUser) -> bytes:
    """The packed frames of *error*, innermost last; b'' where enough alike were captured."""
    try:
        return _capture(error, is_user, is_own)
    except Exception:  # noqa: BLE001 - the error itself must come through, whatever its frames hold
        return b""


def _capture(error: BaseException, is_user: IsUser, is_own: IsUser) -> bytes:
    stack = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not is_own(frame.f_code.co_filename)
    ]
    if not stack:
        return b""
    now = time.monotonic()
    if now - _since()[0] > STRETCH:
        _since()[0] = now
        _seen().clear()
    frame, line = stack[-1]
    key = (session.cell.get(), frame.f_code.co_filename, line, type(error).__qualname__)
    _seen()[key] += 1
    if _seen()[key] > FULL:
        return b""
    half = MOST_FRAMES // 2
    if len(stack) > MOST_FRAMES:
        stack = [*stack[:half], *stack[-half:]]
    budget = _Budget(now + MOST_SECONDS)
    # The innermost frames matter most: they take what room there is first.
    frames = [_frame(frame, line, is_user, budget) for frame, line in reversed(stack)]
    return pack_frames(frames[::-1])


class _Budget:
    def __init__(self, until: float) -> None:
        self.text = MOST_TEXT
        self.values = MOST_VALUES
        self.until = until


def _frame(frame: types.FrameType, line: int, is_user: IsUser, budget: _Budget) -> Frame:
    file, name = frame.f_code.co_filename, frame.f_code.co_name
    user = is_user(file)
    first = max(1, line - AROUND)
    source = tuple(
        (number, text.rstrip()[:200])
        for number in range(first, line + AROUND + 1)
        if (text := linecache.getline(file, number, frame.f_globals))
    )
    names = list(_shown(frame.f_locals))
    left_out = max(0, len(names) - MOST_NAMES)
    locals_: list[Local] = []
    for key, value in names[:MOST_NAMES]:
        if budget.text <= 0:
            left_out += 1
            continue
        one = _local(key, value, user, budget)
        budget.text -= len(one.text) + len(one.name) + len(one.kind)
        locals_.append(one)
    given = _given(frame.f_code, dict(names))
    return Frame(file, line, name, source, tuple(locals_), not user, left_out, given)


def _given(code: types.CodeType, known: Mapping[str, Any]) -> tuple[str, ...]:
    """The arguments that are still what the caller gave."""
    flags = (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS)
    extra = sum(bool(code.co_flags & flag) for flag in flags)
    count = code.co_argcount + code.co_kwonlyargcount
    bound: set[str] = set()
    for step in dis.get_instructions(code):
        if step.opname.startswith(("STORE_FAST", "STORE_DEREF")):
            bound.update([step.argval] if isinstance(step.argval, str) else step.argval)
    return tuple(
        name
        for number, name in enumerate(code.co_varnames[: count + extra])
        if name in known and name not in bound and name not in {"self", "cls"}
        and (number < count or known[name])
    )  # fmt: skip


def _shown(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(found.items()):
        if name.startswith("__") or _is_code(value) or value is builtins:
            continue
        yield name, value


def _local(name: str, value: Any, user: bool, budget: _Budget) -> Local:
    text = brief(value, 400)
    kind = type(value).__qualname__
    data, why = _packed(value, budget) if user else (b"", "it belongs to a library's frame")
    budget.values -= len(data)
    return Local(name, kind, text, data, why)


def _packed(value: Any, budget: _Budget) -> tuple[bytes, str]:
    """(pickled value, '') or (b'', why not)."""
    if time.monotonic() > budget.until:
        return b"", "there was no time to pickle it"
    size = getattr(value, "nbytes", 0)
    if not isinstance(size, int):
        size = 0
    size = max(size, sys.getsizeof(value, 0))
    if size > budget.values:
        return b"", f"it is too large ({size / 1e6:,.1f} MB)"
    room = _Bounded(budget.values)
    try:
        Pickler(room, protocol=5).dump(value)
    except _TooLarge:
        return b"", f"it is larger than the {MOST_VALUES // 1024:,} KB that an error may carry"
    except Exception as error:  # noqa: BLE001 - users' classes raise what they like when pickled
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return b"", f"it cannot be pickled: {reason[:200]}"
    return b"".join(room.parts), ""
