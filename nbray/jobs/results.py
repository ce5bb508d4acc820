"""What a `%%remote` cell's tasks returned, as what the cell shows and assigns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Result = tuple[Any, dict[str, Any]]
"""(the last expression's value, the variables to bring back) of one task."""


def outputs_of(results: Sequence[Result], names: Sequence[str], several: bool) -> dict[str, Any]:
    """The variables to assign: a value each, or with *several* tasks a list each."""
    if several:
        return {name: [outputs[name] for _, outputs in results] for name in names}
    ((_, outputs),) = results
    return outputs


def shown_of(results: Sequence[Result], several: bool) -> Any:
    """What the cell shows: its last expression, of *several* tasks as a list (None: nothing)."""
    values = [value for value, _ in results]
    if not several:
        return values[0]
    return None if all(value is None for value in values) else values


def fetched_of(results: Sequence[Result], names: Sequence[str], several: bool) -> Any:
    """What `fetch` returns: what the cell shows; if that is nothing, its `-o` variables.

    Of one variable the value, of several a dictionary.
    """
    shown = shown_of(results, several)
    if shown is not None or not names:
        return shown
    outputs = outputs_of(results, names, several)
    return outputs[names[0]] if len(names) == 1 else outputs
