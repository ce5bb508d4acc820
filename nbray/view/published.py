"""What is published by name, as a table. Pure.

Owns the wording. Does not own finding it (`nbray.publishing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from nbray.figures import duration, memory, noun
from nbray.view.render import render

NONE = 'nothing is published: nbray.publish("name", value) does, nbray.published("name") reads it'


class One(Protocol):
    """As `nbray.publishing.Published`."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def by(self) -> str: ...


class PublishedRow(msgspec.Struct, frozen=True):
    """One value."""

    name: str
    namespace: str
    kind: str
    size: str
    since: str
    by: str


def _rows(found: Sequence[One], now: float) -> list[PublishedRow]:
    return [
        PublishedRow(
            one.name, one.namespace, one.kind, memory(one.size),
            f"{duration(max(0.0, now - one.at))} ago", one.by,
        )
        for one in found
    ]  # fmt: skip


def _heading(found: Sequence[One]) -> str:
    return f"{noun(len(found), 'value')}, {memory(sum(one.size for one in found))}"


def published_html(found: Sequence[One], now: float) -> str:
    """The table; *now*: seconds since the epoch."""
    rows = _rows(found, now)
    spaces = any(row.namespace for row in rows)
    return render("published", rows=rows, heading=_heading(found), empty=NONE, spaces=spaces)


def published_text(found: Sequence[One], now: float) -> str:
    """The same as text."""
    if not found:
        return NONE
    table = [("name", "namespace", "type", "size", "published", "by")]
    table += [
        (row.name, row.namespace, row.kind, row.size, row.since, row.by)
        for row in _rows(found, now)
    ]
    if not any(one.namespace for one in found):
        table = [(line[0], *line[2:]) for line in table]  # type: ignore[misc]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )
    return "\n".join([_heading(found), *lines])
