"""How what a call returned becomes the values of its references, alike over every engine.

Does not own how a value travels. Rule: a mistake in their number is the user's, told in one
sentence; what a generator has yielded before it failed stays.
"""

from __future__ import annotations

from types import GeneratorType
from typing import Any

from nbray.exceptions import on_behalf


def written(result: GeneratorType[Any, Any, Any]) -> bool:
    """Whether it is an expression, and so a value that cannot leave its process."""
    return result.gi_code.co_name == "<genexpr>"


def yielded(name: str, result: Any, count: int) -> tuple[list[Any], BaseException | None]:
    """The first *count* values of a generator, and the error that stands for those missing."""
    values: list[Any] = []
    try:
        for value in result:
            values.append(value)
            if len(values) == count:
                result.close()
                return values, None
    except Exception as error:  # noqa: BLE001 - users' code raises what it likes
        return values, error
    text = f"{name}: Task returned {len(values)} objects, but num_returns={count}."
    return values, on_behalf(ValueError(text))


def split(name: str, result: Any, count: int) -> list[Any]:
    """The *count* values in what *name* returned.

    Raises:
        TypeError: it is not several.
        ValueError: it is another number of them.
    """
    try:
        found = iter(result)
    except TypeError:
        kind = type(result).__name__
        text = f"{name} has num_returns={count} but returned one {kind}, not {count} values"
        raise on_behalf(TypeError(text)) from None
    values = list(found)
    if len(values) != count:
        text = (
            f"{name} has num_returns={count} but returned {len(values)} values "
            f"(Task returned {len(values)} objects, but num_returns={count}.)"
        )
        raise on_behalf(ValueError(text))
    return values
