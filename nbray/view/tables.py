"""Tables with filters and pages, as the detailed screens show them.

Owns the form: what a table consists of, how links carry a query, how many rows
a page has. Does not own what stands in it (`tasks`, `things`). Rule: links are
fragments ('#tasks?state=failed'), so that they work under any address.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from nbray import figures
from nbray.view.render import render

PAGE = 100
"""Rows on one page."""


class Query(msgspec.Struct, frozen=True):
    """What a screen was asked for; every field has a default and is taken from outside."""

    text: str = ""
    state: str = ""
    cell: str = ""
    """'job:cell' (see `names.cell_key`)."""
    function: str = ""
    by: str = ""
    """'' single ones; 'function' or 'cell': sums."""
    sort: str = ""
    page: int = 1


class Cell(msgspec.Struct, frozen=True):
    """One place in a table."""

    text: str
    sub: str = ""
    """A softer second line."""
    link: str = ""
    tone: str = ""
    """'', 'bad', 'soft' or 'run'."""
    title: str = ""


class Column(msgspec.Struct, frozen=True):
    """A heading; *right* for numbers."""

    name: str
    right: bool = False
    link: str = ""
    sorted: bool = False


class Chip(msgspec.Struct, frozen=True):
    """A filter above a table: on or off, with its count."""

    name: str
    count: str
    link: str
    on: bool = False


class Table(msgspec.Struct, frozen=True):
    """A whole table."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    chips: tuple[Chip, ...] = ()
    filters: tuple[Chip, ...] = ()
    """Filters that are on, with a link that takes each off."""
    note: str = ""
    empty: str = ""
    """Said instead of rows when there are none."""
    pages: tuple[Chip, ...] = ()


def link(section: str, query: Query, **changes: Any) -> str:
    """The fragment for *section* with *query* changed; pages start again at the first."""
    values = {**msgspec.structs.asdict(query), "page": 1, **changes}
    default = msgspec.structs.asdict(Query())
    kept = {name: value for name, value in values.items() if value != default[name]}
    return f"#{section}?{urlencode(kept)}" if kept else f"#{section}"


def pages(section: str, query: Query, count: int) -> tuple[int, int, tuple[Chip, ...]]:
    """(first row, row after the last, links to other pages) of *count* rows."""
    last = max(1, -(-count // PAGE))
    page = min(max(1, query.page), last)
    found: list[Chip] = []
    if last > 1:
        wanted = sorted({1, last, *range(max(1, page - 2), min(last, page + 2) + 1)})
        before = 0
        for number in wanted:
            if number != before + 1:
                found.append(Chip("…", "", ""))
            where = link(section, query, page=number)
            found.append(Chip(figures.count(number), "", where, number == page))
            before = number
    return (page - 1) * PAGE, min(count, page * PAGE), tuple(found)


def table_html(tables: Sequence[Table]) -> str:
    """Tables as HTML, one under the other."""
    return render("tables", tables=tables)
