"""Rows as a table, YAML or JSON, for a terminal and for programs. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

FORMATS = ("default", "json", "yaml", "table")
_PLAIN = re.compile(r"[A-Za-z_/<][\w./:<>-]*")
_STEP = "    "
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
    """A YAML document of dictionaries, in block style."""
    body = _block(rows, "") if rows else ["[]\n"]
    return "---\n" + "".join(body) + "...\n"


def _block(value: Any, indent: str) -> list[str]:
    """The lines of a dictionary, or of a list, that is not empty."""
    if isinstance(value, dict):
        lines = []
        for name, part in value.items():
            if isinstance(part, (dict, list, tuple)) and part:
                inner = indent if isinstance(part, (list, tuple)) else indent + _STEP
                lines += [f"{indent}{_scalar(str(name))}:\n", *_block(part, inner)]
            else:
                lines.append(f"{indent}{_scalar(str(name))}: {_scalar(part)}\n")
        return lines
    lines = []
    for part in value:
        if isinstance(part, (dict, list, tuple)) and part:
            first, *others = _block(part, indent + _STEP)
            lines += [f"{indent}-   {first.lstrip()}", *others]
        else:
            lines.append(f"{indent}-   {_scalar(part)}\n")
    return lines


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS and value[-1] != ":"
        return value if plain else json.dumps(value)
    return json.dumps(value, default=str)
