"""What a task shows, as it can travel: forms that are too large become a sentence.

Owns the bound and the sentences. Does not own the choice of forms (`showing`),
nor what becomes of forms that are no data (`wire.codec`). Rule: a display is no
larger than `MOST_SHOWN`; what was left out says so in its place.
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
        if size <= left:
            forms[mime] = form
            left -= size
        else:
            forms[mime] = f"({mime} of {plain(size)}, too long to be shown)"
    ordered = {mime: forms[mime] for mime in (label(str(one), _WORDS) for one in data)}
    about = len(encode(metadata))
    fits = about <= MOST_METADATA
    return ordered, metadata if fits else {}, MOST_SHOWN - left + (about if fits else 0)


def _measured(data: dict[str, Any]) -> list[tuple[str, Any, int]]:
    found = []
    for key, form in data.items():
        short = isinstance(form, str) and form.isascii()
        found.append((label(str(key), _WORDS), form, len(form) if short else len(encode(form))))
    return found
