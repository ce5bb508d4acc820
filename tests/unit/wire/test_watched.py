"""What names stand for: whatever users' objects do when they are looked at."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.wire.watched import same, watched


class Row(tuple[tuple[str, int], ...]):
    """Its fields are its attributes; it has no dictionary of its own."""

    __slots__ = ()

    def __getattr__(self, name: str) -> int:
        return {key: value for key, value in self}[name]  # noqa: C416 - `dict` would ask for more


class Closed:
    """Answers nothing."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Empty:
    """Its dictionary is none."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return 5


@pytest.mark.parametrize("make", [lambda: Row([("a", 1)]), Closed, Empty])
def test_objects_that_do_not_like_to_be_looked_at(make: Any) -> None:
    thing = make()

    def use() -> Any:
        return thing

    watch = watched(use, 100)
    assert same(watch)
    thing = None
    assert not same(watch)
