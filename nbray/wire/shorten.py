"""What is too large to travel, made smaller, with a sentence that says so.

Owns how texts, errors and what they carry are cut. Does not own the limits
(`nbray.config`). Rule: what is short enough comes out as it went in; an error
keeps its class, and as much of what it carries as fits.
"""

from __future__ import annotations

from typing import Any

from nbray.definitions import dumps
from nbray.exceptional import reduced

PART = 64 * 1024
"""Bytes up to which a part of a large error is kept."""
MANY = 1000
"""Elements of a list in an error that are looked at one by one."""


def cut(text: str, most: int) -> str:
    """*text*; of one longer than *most* characters the beginning and the end."""
    if len(text) <= most:
        return text
    half = most // 2
    out = len(text) - 2 * half
    return f"{text[:half]}\n[... {out:,} characters are left out here ...]\n{text[-half:]}"


def label(text: str, most: int) -> str:
    """A name that is only shown: of a long one the beginning, in *most* characters."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def plain(size: int) -> str:
    """'80 MB'."""
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size //= 1000
    return f"{size} GB"


class Shortened:
    """Pickles *error* as it pickles itself, but for what is large in it.

    Where parts are left out, what stands in their place says so.
    """

    def __init__(self, error: object) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        error = self.error
        how = reduced(error) if isinstance(error, BaseException) else NotImplemented
        if how is NotImplemented:
            how = error.__reduce_ex__(5)
        return how if isinstance(how, str) else tuple(smaller(part) for part in how)


def smaller(value: Any) -> Any:
    """*value*, or what stands for it if it is large."""
    if isinstance(value, str):
        return cut(value, PART)
    if isinstance(value, (int, float, complex, type, type(None))):
        return value
    if isinstance(value, BaseException):
        return Shortened(value)
    if type(value) in (list, tuple) and len(value) <= MANY:
        return type(value)(smaller(one) for one in value)
    if type(value) is dict and len(value) <= MANY:
        return {smaller(key): smaller(one) for key, one in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return value[:PART]
    size = _size(value)
    if size <= PART:
        return value
    kind = type(value).__name__
    return f"({kind} of {plain(size)}, left out: errors travel with at most {plain(PART)} of it)"


def _size(value: Any) -> int:
    try:
        return len(dumps(value))
    except Exception:  # noqa: BLE001 - users' classes raise what they like when pickled
        return PART + 1
