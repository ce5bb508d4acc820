"""Text and small data from outside, made safe to travel and to be shown.

Owns what becomes of half characters (lone surrogates: file names that are not
UTF-8, halves of emoji), and of whatever else msgpack and JSON have no form for.
Rule: text changes only where it could not travel at all, and then into what
Python's `repr` shows; making safe never fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_DEEPEST = 40
"""Containers within containers that are sent as such; what is deeper goes as a text."""
_SMALLEST, _LARGEST = -(1 << 63), (1 << 64) - 1


def safe(text: str) -> str:
    """*text* as a plain `str` that has a UTF-8 form.

    Halves that belong together are joined; a lone half becomes its escape, as in `caf\\udce9`.
    """
    if type(text) is not str:
        text = str.__str__(text)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        pairs = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return pairs.encode("utf-8", "backslashreplace").decode()
    return text


def fitting(text: str, encoding: str | None) -> str:
    """*text* as a stream of *encoding* can show it: what it has no form for becomes its escape."""
    text = safe(text)
    if text.isascii():
        return text
    try:
        return text.encode(encoding or "utf-8", "backslashreplace").decode(encoding or "utf-8")
    except LookupError:  # an encoding that Python does not know
        return text.encode("ascii", "backslashreplace").decode()


def plain(value: Any, depth: int = 0) -> Any:
    """*value* in a form that travels: structs keep their type, what is strange becomes a text."""
    kind = type(value)
    if value is None or kind in {bool, float, bytes, bytearray, memoryview}:
        return value
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, int):
        return int(value) if _SMALLEST <= value <= _LARGEST else safe(_words(value))
    if isinstance(value, float):
        return float(value)
    if depth > _DEEPEST:
        return safe(_words(value))
    if isinstance(value, msgspec.Struct):
        fields = {name: _field(getattr(value, name), depth) for name in kind.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    for method in ("item", "tolist", "isoformat"):  # numpy's numbers and arrays, dates
        found = value
        with contextlib.suppress(Exception):  # users' classes raise what they like
            found = getattr(value, method)()
        if type(found) is not kind:
            return plain(found, depth + 1)
    return safe(_words(value))


def _field(value: Any, depth: int) -> Any:
    """What a struct holds has a type: a number stays one, and the largest there is will do."""
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, _SMALLEST), _LARGEST)
    return plain(value, depth + 1)


def _key(key: Any) -> Any:
    if isinstance(key, str):
        return safe(key)
    return key if type(key) in {int, bytes} else safe(_words(key))


def _words(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - users' __repr__ methods raise what they like
        return f"<{type(value).__name__}; its repr failed: {type(error).__name__}>"


def forgiving(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """*encode*, which sends in another form what it would refuse.

    Whoever encodes has changed its state already: a message that is refused is one that
    somebody waits for.
    """

    def encoded(value: Any) -> bytes:
        try:
            return encode(value)
        except (ValueError, TypeError, OverflowError, RecursionError):
            return encode(plain(value))

    return encoded
