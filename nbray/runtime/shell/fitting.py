"""What a task shows, as it can travel: forms that are too large, or no data, become a sentence.

Owns the bound and the sentences. Does not own the choice of forms (`showing`).
Rule: whatever a user's object gives as its form, the message can be encoded
and is no larger than `MOST_SHOWN`; what was left out says so in its place.
"""

from __future__ import annotations

from typing import Any

from nbray.config import MOST_SHOWN
from nbray.wire.codec import encode
from nbray.wire.shorten import label, plain

MOST_METADATA = 1 << 20
"""Bytes of a display's metadata; larger ones are left out."""
_WORDS = 1000
"""Characters of a MIME type."""


def fitting(
    data: dict[str, Any], metadata: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], int]:
    """(data, metadata, bytes) of a display that can be sent."""
    left = MOST_SHOWN
    forms: dict[str, Any] = {}
    # The smaller forms come first: they are what remains when not all fit.
    for mime, form, size in sorted(_measured(data), key=lambda one: one[2]):
        if 0 <= size <= left:
            forms[mime] = form
            left -= size
        elif size < 0:
            forms[mime] = f"({mime} is no data that can be sent)"
        else:
            forms[mime] = f"({mime} of {plain(size)}, too long to be shown)"
    ordered = {mime: forms[mime] for mime in (label(str(one), _WORDS) for one in data)}
    about = _size(metadata)
    fits = 0 <= about <= MOST_METADATA
    return ordered, metadata if fits else {}, MOST_SHOWN - left + (about if fits else 0)


def _measured(data: dict[str, Any]) -> list[tuple[str, Any, int]]:
    found = []
    for key, form in data.items():
        mime = label(str(key), _WORDS)
        size = _size(form)
        if size < 0 and isinstance(form, str):  # half characters
            form = form.encode("utf-8", "backslashreplace").decode()
            size = _size(form)
        found.append((mime, form, size))
    return found


def _size(form: Any) -> int:
    """Bytes of *form*; -1 if it is no data."""
    if isinstance(form, str) and form.isascii():
        return len(form)
    try:
        return len(encode(form))
    except (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError):
        return -1
