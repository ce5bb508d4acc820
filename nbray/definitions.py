"""Pickling functions and classes by value: cloudpickle, but code keeps the name of its file.

Owns how code objects travel, and where texts that travel with them are found. Tracebacks and
the post-mortem find a cell's lines by the file name of its code, which cloudpickle 3.1.3 and
later replace by a constant.
"""

from __future__ import annotations

import io
import linecache
import types
from collections import ChainMap
from collections.abc import Callable
from typing import Any

import cloudpickle

from nbray.byvalue import HOMES, reduced_by_value

REMEMBERED = 256
"""Files whose text is kept in one piece."""


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle's pickler; code objects come back with their own file names."""

    def reducer_override(self, obj: Any) -> Any:
        """How *obj* is pickled (see `pickle.Pickler.reducer_override`)."""
        kind = type(obj)
        if kind is types.CodeType:
            _, parts = self.dispatch_table[types.CodeType](obj)
            filename = "".join(obj.co_filename)
            text = _text_of(filename)
            return restore_code, (parts, filename, text) if text else (parts, filename)
        if isinstance(obj, BaseException):
            from nbray.exceptional import reduced  # where one is pickled at all

            return reduced(obj)
        if kind.__module__ in HOMES or kind is types.FunctionType:
            made = reduced_by_value(obj)
            if made is not NotImplemented:
                return made
        return super().reducer_override(obj)


def reduce_by(cls: type, reducer: Callable[[Any], Any] | None) -> None:
    """Pickle instances of *cls* as *reducer* says; None: as they are pickled by themselves."""
    if "dispatch_table" not in vars(Pickler):  # few programs need a table of their own
        Pickler.dispatch_table = ChainMap({}, cloudpickle.Pickler.dispatch_table)
    own = Pickler.dispatch_table.maps[0]
    own.pop(cls, None)
    if reducer is not None:
        own[cls] = reducer


class Nowhere:
    """A file that keeps nothing."""

    size = 0

    def write(self, data: Any) -> int:
        self.size += len(data)
        return len(data)


_texts: dict[str, tuple[Any, str]] = {}
"""What `_text_of` found, by file name, and the lines that it is made of."""


def _text_of(filename: str) -> str:
    """The text of *filename* if it is no file on a disk, as a notebook's cell is none; else ''.

    One object for all code of a file, so that a pickle stream has it once.
    """
    found = linecache.cache.get(filename)
    if found is None or len(found) != 4 or found[1] is not None:
        return ""
    lines = found[2]
    last = _texts.get(filename)
    if last is None or last[0] is not lines:
        while len(_texts) >= REMEMBERED:
            _texts.pop(next(iter(_texts)), None)
        last = _texts[filename] = (lines, "".join(lines))
    return last[1]


def restore_code(parts: tuple[Any, ...], filename: str, text: str = "") -> types.CodeType:
    """The code object that was pickled as *parts*, of the file *filename* with this *text*."""
    if text and _text_of(filename) != text:
        remember_source(filename, text)
    return types.CodeType(*parts).replace(co_filename=filename)


def remember_source(filename: str, text: str) -> None:
    """Let tracebacks find *text* under *filename*, which may be no file, or hold another text."""
    # A modification time of None tells linecache never to look for the file.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


def trial(value: Any) -> int:
    """How many bytes *value* takes when it is pickled; nothing is copied or kept.

    Raises:
        Exception: what the value's own classes raise when they are pickled.
    """
    file = Nowhere()

    def note(buffer: Any) -> bool:
        file.size += buffer.raw().nbytes
        return False

    Pickler(file, protocol=5, buffer_callback=note).dump(value)
    return file.size


def dumps(value: Any) -> bytes:
    """*value* pickled; plain `pickle.loads` reads it.

    Raises:
        Exception: what the value's own classes raise when they are pickled.
    """
    file = io.BytesIO()
    Pickler(file, protocol=5).dump(value)
    return file.getvalue()
