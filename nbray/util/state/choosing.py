"""Which rows of a list are given: filters, the limit, the fields without detail.

Pure: rows are dictionaries with all fields. Comparisons are Ray's: texts without regard to case,
a text against a number or a truth value as what it says.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from typing import Any

from nbray.util.state.common import Filter, StateSchema
from nbray.util.state.exception import RayStateApiException

_SERVER = "API server internal error."
SHORTEST_ID = 8
"""Bytes of the shortest id that names a task, an actor or a node."""
_TRUE, _FALSE = {"true", "1"}, {"false", "0"}


def refused(why: str) -> RayStateApiException:
    """The error of a request that cannot be answered, with Ray's first words."""
    return RayStateApiException(f"{_SERVER} Error: {why}")


def check_id(text: str) -> None:
    """Refuse what cannot be the id of a task, an actor or a node: hexadecimal digits of one.

    Raises:
        RayStateApiException: *text* is none.
    """
    try:
        size = len(bytes.fromhex(text))
    except ValueError:
        raise refused(f"{text!r} is no id: Non-hexadecimal digit found") from None
    if size < SHORTEST_ID:
        raise refused(f"{text!r} is no id: it is too short, got {size} bytes")


def convert(schema: type[StateSchema], filters: Iterable[Filter]) -> list[Filter]:
    """*filters* with field names in lower case and values of their fields' kinds.

    Raises:
        RayStateApiException: a field has another name, cannot be filtered by, or has other values.
    """
    known = schema.filterable_columns()
    kinds = typing.get_type_hints(schema)
    found: list[Filter] = []
    for key, predicate, value in filters:
        name = key.lower()
        if name not in known:
            raise refused(
                f"The given filter column {name} is not supported. Enter filters with "
                f"--filter key=value or --filter key!=value. Supported filter columns: "
                f"{sorted(known)}"
            )
        kind = str(kinds[name])
        if isinstance(value, str):
            if "bool" in kind:
                value = _truth(name, value)
            elif "int" in kind:
                try:
                    value = int(value)
                except ValueError:
                    raise refused(
                        f"Invalid filter `--filter {name} {value}` for a int type column. "
                        f"Please provide an integer filter `--filter {name} [int]`"
                    ) from None
        found.append((name, predicate, value))
    return found


def _truth(name: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise refused(
        f"Invalid filter `--filter {name} {value}` for a boolean type column. Please provide "
        f"`--filter {name} [True|true|1]` for True or `--filter {name} [False|false|0]` for False."
    )


def passes(row: dict[str, Any], filters: Iterable[Filter]) -> bool:
    """Whether the row is what all *filters*, as `convert` gives them, ask for."""
    for key, predicate, value in filters:
        has = row.get(key)
        if isinstance(value, str) and isinstance(has, str):
            same = has.lower() == value.lower()
        else:
            same = has == value
        if same != (predicate == "="):
            return False
    return True


def states(
    schema: type[StateSchema], rows: Iterable[dict[str, Any]], detail: bool
) -> list[Any]:
    """Records of *rows*; without *detail* the detailed fields are None."""
    wanted = set(schema.list_columns(detail))
    names = [one.name for one in dataclasses.fields(schema)]
    return [
        schema(**{name: row.get(name) if name in wanted else None for name in names})
        for row in rows
    ]
