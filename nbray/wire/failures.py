"""Errors as results: packing what a task raised, and raising it again elsewhere.

Owns the remote traceback's text (the user's line first, nbray's own frames
left out) and the ways in which exceptions survive that do not pickle. Does
not own the error classes. Rule: packing an error never fails, and unpacking
one always yields an error that can be raised.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import site
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle

from nbray.config import MOST_ERROR
from nbray.definitions import dumps
from nbray.exceptional import Bare, note_read_only
from nbray.exceptions import (
    RayError,
    RaySystemError,
    RayTaskError,
    RuntimeEnvSetupError,
    UnserializableException,
    told_of,
)
from nbray.postmortem import WHERE
from nbray.wire.frame_capture import capture, values_on_line
from nbray.wire.shorten import Shortened, cut

MOST_TEXT = 256 * 1024
"""Characters of a remote traceback; of a longer one the beginning and the end travel."""
MOST_WHY = 300
"""Characters of an error in a table."""
MOST_LINE = 64 * 1024
"""Characters of an error in one line, for where its class is not known."""
_OWN = str(Path(__file__).absolute().parent.parent) + os.sep


def pack_error(error: BaseException, function_name: str, node: str, pid: int) -> bytes:
    """*error*, raised by user code in *function_name*, as bytes for `unpack_error`.

    nbray's own errors travel as they are where no user's code raised or passed them on; anything
    else becomes a `RayTaskError` with the remote traceback. A `RayTaskError` that came through
    `get` from a nested task keeps its cause, and gains the outer frames.
    """
    try:
        return _packed_error(error, function_name, node, pid)
    except Exception:  # noqa: BLE001 - users' classes raise what they like when looked at
        line = cut(one_line(error), MOST_LINE)
        pickled = b""
        with contextlib.suppress(Exception):
            pickled = _pickled(error)
        return pickle.dumps((function_name, line, pickled, line, node, pid, b""), 5)


def _packed_error(error: BaseException, function_name: str, node: str, pid: int) -> bytes:
    note_read_only(error)
    summary = traceback.TracebackException.from_exception(error, compact=True)
    brief = vars(error).pop("_nbray_brief", False)
    own_only = all(_is_own(frame) for frame in summary.stack)
    if brief:
        _only_users(summary)
    elif not own_only:
        _drop_own(summary)
    before = told_of(error)
    if before is not None:
        cause = before.cause
        text = _nested_text(before, summary, function_name)
        frames = before.frames  # where it began tells most
    elif (
        isinstance(error, RayError)
        and not brief
        and not any(_is_user(frame) for frame in summary.stack)
    ):
        line = cut(one_line(error), MOST_LINE)
        return pickle.dumps(("", "", _pickled(error), line, "", 0, b""), 5)
    else:
        cause = error
        if brief and not any(one.stack for one in _chain(summary)):
            text = "".join(summary.format_exception_only()).rstrip()
        else:
            text = _text(summary, values_on_line(error, _is_user_file))
        frames = capture(error, _is_user_file, _is_own_file)
    line = cut(one_line(cause), MOST_LINE)
    text = cut(text, MOST_TEXT)
    return pickle.dumps((function_name, text, _pickled(cause), line, node, pid, frames), 5)


def passed_on(data: bytes, function_name: str) -> bytes:
    """The packed error of *function_name*, which did not run because *data* is an argument's error.

    What users' code raised is passed on as it is. nbray's own errors are raised of tasks alone to
    which they happened: who passes one on gets a `RayTaskError` of it, as in Ray.
    """
    name, _, pickled, line, _, _, _ = pickle.loads(data)
    if name:
        return bytes(data)
    text = f"{ARGUMENT_FAILED}:\n{line}"
    return pickle.dumps((function_name, text, pickled, line, "", 0, b""), 5)


def alike(data: bytes | memoryview) -> tuple[tuple[str, str, str], bytes]:
    """(what the same failure shares, its frames): function, kind of error, the user's line."""
    function_name, text, _, line, _, _, frames = pickle.loads(data)
    return (function_name, line.partition(":")[0], text.partition("\n")[0]), frames


def unpack_error(data: bytes | memoryview) -> BaseException:
    """The error to raise: an instance of `RayTaskError` and of what the user raised.

    nbray's other errors come back as they are. A cause whose class is unknown
    here becomes an `UnserializableException` with its name and text.
    """
    function_name, text, pickled, line, node, pid, frames = pickle.loads(data)
    cause = _unpickled(pickled) if pickled else None
    if cause is None:
        cause = UnserializableException(line)
    if not function_name and isinstance(cause, RayError):
        return cause
    return RayTaskError(function_name, text, cause, node, pid, frames).as_instanceof_cause()


def unreadable(error: Exception) -> RayError:
    """What reading a value raises, in which *error* was raised as it was put together again."""
    if isinstance(error, RayError):
        return error
    summary = traceback.TracebackException.from_exception(error, compact=True)
    _only_users(summary)
    told = any(one.stack for one in _chain(summary))
    return RaySystemError(error, "".join(summary.format()) if told else None)


def _unpickled(data: bytes) -> BaseException | None:
    try:
        error = cloudpickle.loads(data)
    except Exception:  # noqa: BLE001 - users' classes raise what they like when rebuilt
        return None
    return error if isinstance(error, BaseException) else None


def _pickled(error: BaseException) -> bytes:
    """*error*, or what of it can be pickled; b"" if nothing survives.

    What is large in one of more than `MOST_ERROR` bytes is left out.
    """
    forms: tuple[object, ...] = (error, Bare(error, _travels))
    for form in forms:
        try:
            data = dumps(form)
            if len(data) > MOST_ERROR:
                data = dumps(Shortened(form))
        except Exception:  # noqa: BLE001, S112 - users' classes raise what they like when pickled
            continue
        if len(data) <= MOST_ERROR and _unpickled(data) is not None:
            return data
    return b""


def _travels(value: Any) -> bool:
    """Whether *value*, a part of an exception, can be pickled and comes back."""
    try:
        cloudpickle.loads(dumps(value))
    except Exception:  # noqa: BLE001 - users' classes raise what they like
        return False
    return True


def one_line(error: BaseException) -> str:
    """'type: text', even where the exception's own `__str__` fails."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - users' __str__ methods raise what they like
        text = "(its text could not be made)"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


_ENDS = (
    ("it was killed", "it was killed by `ray.kill`"),
    ("it ended itself", "its worker process has died: exit_actor() was called"),
    ("its owner has died", "its owner has died"),
    ("reference", "all references to the actor were removed"),
    ("its process", "its worker process has died"), ("is gone", "its node has died"),
)  # fmt: skip


UNMADE = "The actor died because of an error raised in its creation task"
"""In Ray's words."""
ARGUMENT_FAILED = "At least one of the input arguments for this task could not be computed"
"""In Ray's words."""


def unmade(error: BaseException) -> str:
    """Why an actor could not be made, in a line for a table: *error* was raised meanwhile."""
    said = cut(" ".join(one_line(error).split()), MOST_WHY)
    return said if isinstance(error, RuntimeEnvSetupError) else f"its __init__ raised {said}"


def in_rays_words(why: str) -> str:
    """What Ray says of an actor's death, to be put behind *why*, which is nbray's: see `_ENDS`."""
    said = next((said for word, said in _ENDS if word in why), "")
    return f" (The actor died unexpectedly. The actor is dead because {said}.)" if said else ""


# The text


@cache
def _library_roots() -> tuple[str, ...]:
    roots = [str(Path(os.__file__).parent), *site.getsitepackages()]  # `sysconfig` takes a while
    user = site.getusersitepackages() if site.ENABLE_USER_SITE else None
    roots += [user] if user else []
    return tuple({str(Path(root).absolute()) + os.sep for root in roots})


def _is_own_file(name: str) -> bool:
    return name.startswith(_OWN)


def _is_user_file(name: str) -> bool:
    return not name.startswith(("<frozen ", _OWN, *_library_roots()))


def _is_own(frame: traceback.FrameSummary) -> bool:
    return _is_own_file(frame.filename)


def _is_user(frame: traceback.FrameSummary) -> bool:
    return _is_user_file(frame.filename)


def _chain(summary: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """*summary*, its causes and contexts, and the members of exception groups."""
    seen: set[int] = set()
    todo: list[traceback.TracebackException | None] = [summary]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]


def _drop_own(summary: traceback.TracebackException) -> None:
    for one in _chain(summary):
        one.stack[:] = [frame for frame in one.stack if not _is_own(frame)]


def _only_users(summary: traceback.TracebackException) -> None:
    """Leave out of *summary* whatever frame, cause and context is not the user's."""
    for one in _chain(summary):
        one.stack[:] = [frame for frame in one.stack if _is_user(frame)]
    if not any(one.stack for one in _chain(summary) if one is not summary):
        summary.__cause__ = summary.__context__ = None


def _line(frame: traceback.FrameSummary) -> str:
    source = f"\n    {frame.line}" if frame.line else ""
    return f"{frame.filename}, line {frame.lineno}, in {frame.name}{source}"


def _text(summary: traceback.TracebackException, values: list[str]) -> str:
    """The user's innermost line with the values on it, and the error; below it the traceback."""
    frames = list(summary.stack)
    at = next((frame for frame in reversed(frames) if _is_user(frame)), None)
    full = "".join(summary.format()).rstrip()
    if at is None:
        return full
    short = "".join(summary.format_exception_only()).rstrip()
    where = "".join(f"\n    {WHERE}{value}" for value in values)
    return f"{_line(at)}{where}\n{short}\n\n{full}"


def _nested_text(
    error: RayTaskError, summary: traceback.TracebackException, function_name: str
) -> str:
    frames = "".join(summary.stack.format()).rstrip()
    where = f" (node {error.node}, pid {error.pid})" if error.node else ""
    joint = f"The error above was raised in {error.function_name}{where}; {function_name} got it"
    return f"{error.traceback_str}\n\n{joint}" + (f" here:\n{frames}" if frames else "")
