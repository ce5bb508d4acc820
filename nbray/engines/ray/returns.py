"""What a call returned, as the values that its references are to have.

Owns how one result becomes several. Rule: a mistake in their number is the user's, told in one
sentence; what a generator has yielded before it failed stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import GeneratorType
from typing import Any

from nbray.engines.ray.boxes import Unmade, boxed
from nbray.exceptions import on_behalf


def returned(
    result: Any, count: int, name: str, retried: Callable[[BaseException], bool],
    packed: Callable[[BaseException], bytes],
) -> Any:  # fmt: skip
    """*result* as Ray is to have it for *count* references.

    Args:
        retried: whether an error is to be tried again, which is then raised.
        packed: an error, to stand in the place of what is missing.

    Raises:
        ValueError, TypeError: not so many values; one that cannot be pickled.
    """
    what = f"the result of {name}"
    if count == 1 and not isinstance(result, GeneratorType):
        return boxed(result, what)
    if isinstance(result, GeneratorType) and count and not _written(result):
        values, error = _yielded(name, result, count)
        if error is not None and (not values or retried(error)):
            raise error
        found = [boxed(value, what) for value in values]
        if error is not None:
            found += [Unmade(packed(error))] * (count - len(found))
        return found[0] if count == 1 else tuple(found)
    if count == 1:
        return boxed(result, what)
    if not count:
        if isinstance(result, GeneratorType):
            deque(result, maxlen=0)  # its body has not run yet
        return None
    return tuple(boxed(value, what) for value in _split(name, result, count))


def _written(result: GeneratorType[Any, Any, Any]) -> bool:
    """Whether it is an expression, and so a value that cannot leave its process."""
    return result.gi_code.co_name == "<genexpr>"


def _yielded(name: str, result: Any, count: int) -> tuple[list[Any], BaseException | None]:
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


def _split(name: str, result: Any, count: int) -> list[Any]:
    try:
        values = list(iter(result))
    except TypeError:
        raise on_behalf(TypeError(
            f"{name} has num_returns={count} but returned one {type(result).__name__}, "
            "not a sequence of values"
        )) from None  # fmt: skip
    if len(values) != count:
        raise on_behalf(ValueError(
            f"{name} has num_returns={count} but returned {len(values)} values "
            f"(Task returned {len(values)} objects, but num_returns={count}.)"
        ))  # fmt: skip
    return values
