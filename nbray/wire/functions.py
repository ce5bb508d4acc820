"""Functions and classes as bytes: named by their hash, with what they take along.

Owns how they are packed, how much they take along, and the warning about too much. Does not own
the layout of values (`pickling`), nor which modules travel with them (`hosting.modules`).
"""

from __future__ import annotations

import operator
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

from nbray.figures import memory
from nbray.wire import pickling_errors
from nbray.wire.digest import begin, digest
from nbray.wire.pickling import Packed, Refs, pack

MOST_FUNCTION = 10**8
"""Bytes of a pickled function from which on a script may not have it, as in Ray."""
_OWN = str(Path(__file__).absolute().parent.parent) + os.sep


def pack_function_with_refs(call: Callable[..., Any], name: str) -> tuple[bytes, bytes, Refs]:
    """As `pack_function`, with the (owner, seq) of every reference the function captured."""
    packed = pack_definition(call, name)
    blob = packed.join()
    return digest(blob), blob, packed.refs


def pack_definition(call: Callable[..., Any], name: str) -> Packed:
    """A function or class, pickled.

    Raises:
        TypeError: it captures something that cannot be pickled; says what.
    """
    return pack(call, f"class {name}" if isinstance(call, type) else f"function {name}")


def refuse_size(size: int, call: Callable[..., Any], name: str) -> None:
    """Refuse a function or class of *size* bytes, pickled, if that is too much.

    Raises:
        ValueError: it is more than `FUNCTION_SIZE_ERROR_THRESHOLD` bytes, as in Ray.
    """
    most = int(os.environ.get("FUNCTION_SIZE_ERROR_THRESHOLD") or MOST_FUNCTION)
    if size < most:
        return
    captured, _ = largest_capture(call)
    kind = "actor" if isinstance(call, type) else "remote function"
    said = f": it takes {captured!r} along" if captured else ""
    raise ValueError(
        f"The {kind} {name} is too large ({size >> 20} MiB > "
        f"FUNCTION_SIZE_ERROR_THRESHOLD={most >> 20} MiB){said}. Put what is large, once, with "
        "nbray.put(...), and pass the reference as an argument."
    )


def warn_of_size(call: Callable[..., Any], name: str) -> None:
    """Warn of a function or class that takes much along, and say of what."""
    captured, size = largest_capture(call)
    what = f"{captured!r} ({memory(size)})" if captured else "much data"
    if captured.isidentifier() and captured in pickling_errors.defaults(call):
        advice = f"give it at the call, {captured}=nbray.put(...) made once, and not as a default"
    elif captured.isidentifier():
        advice = f"put it yourself, {captured} = nbray.put({captured}), and pass it as an argument"
    else:
        advice = "pass it as an argument, put once with nbray.put(...)"
    where = "into every actor that is made of it" if isinstance(call, type) else (
        f"into the object store, once for each time that {name} is defined"
    )  # fmt: skip
    warnings.warn(
        f"{name} takes {what} along: it is put {where}. To share it, {advice}.",
        UserWarning,
        stacklevel=_user_level(),
    )


def digest_of(packed: Packed) -> bytes:
    """The content hash of what *packed* holds, without joining it."""
    state = begin()
    for position, piece in packed.pieces():
        state.update(position.to_bytes(8, "little"))
        state.update(piece)
    return state.digest()


def _user_level() -> int:
    """The `stacklevel` of the innermost frame that is not nbray's, for a warning of our caller."""
    level = 2
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
        level += 1
    return level


def pack_function(call: Callable[..., Any], name: str) -> tuple[bytes, bytes]:
    """(hash of 16 bytes, pickled form) of a function or class; `unpack` reads it.

    Raises:
        TypeError: it captures something that cannot be pickled; says what.
    """
    digest, blob, _ = pack_function_with_refs(call, name)
    return digest, blob


def largest_capture(call: Callable[..., Any], depth: int = 0) -> tuple[str, int]:
    """(name, bytes when pickled) of the largest variable that *call* takes with it.

    For the warning about a function that carries much; ("", 0) if it captures nothing.
    What a function takes along that *call* calls counts as well.
    """
    best = ("", 0)
    for name, value in pickling_errors.carried(call).items():
        if isinstance(value, FunctionType) and depth < 5:
            best = max(best, largest_capture(value, depth + 1), key=operator.itemgetter(1))
            continue
        try:
            size = pack(value).size
        except TypeError:
            continue
        if size > best[1]:
            best = (name, size)
    return best
