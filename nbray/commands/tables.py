"""Rows as a table, YAML or JSON, for a terminal and for programs. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

FORMATS = ("default", "json", "yaml", "table")
_PLAIN = re.compile(r"[A-Za-z_/<][\w./:<>-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "none", "~"}


def shown(rows: Sequence[dict[str, Any]], form: str, title: str, detail: bool = False) -> str:
    """*rows* in that form; 'default' is a table, with details YAML."""
    if form == "json":
        return json.dumps(list(rows), indent=2, default=str)
    if form == "yaml" or (form == "default" and detail):
        return yaml(rows)
    if not rows:
        return "No resource in the cluster"
    head = f"======== List: {title} ========\nStats:\n------------------------------\n"
    return f"{head}Total: {len(rows)}\n\nTable:\n------------------------------\n{table(rows)}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Aligned columns, their names in capitals, numbered from 0."""
    names = list(rows[0])
    lines = [["", *(name.upper() for name in names)]]
    lines += [
        [str(number), *("" if row[name] is None else _cell(row[name]) for name in names)]
        for number, row in enumerate(rows)
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_cell(part)}" for name, part in value.items())
    return " ".join(str(value).split())


def yaml(rows: Sequence[dict[str, Any]] | dict[str, Any]) -> str:
    """A YAML document of dictionaries; what is inside their values is in its flow style."""
    if isinstance(rows, dict):
        return "---\n" + "".join(_lines(rows, ""))
    if not rows:
        return "---\n[]\n"
    parts = ["---\n"]
    for row in rows:
        first, *others = _lines(row, "    ")
        parts += ["-   " + first.lstrip(), *others]
    return "".join(parts)


def _lines(row: dict[str, Any], indent: str) -> list[str]:
    return [f"{indent}{name}: {_scalar(value)}\n" for name, value in row.items()]


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS and value[-1] != ":"
        return value if plain else json.dumps(value)
    return json.dumps(value, default=str)
