"""What a call returned, as the values that its references are to have.

Owns what of it Ray is given. Does not own how one result becomes several (`hosting.returned`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import GeneratorType
from typing import Any

from nbray.engines.ray.boxes import Unmade, boxed
from nbray.hosting.returned import split, written, yielded


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
    if isinstance(result, GeneratorType) and count and not written(result):
        values, error = yielded(name, result, count)
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
    return tuple(boxed(value, what) for value in split(name, result, count))
