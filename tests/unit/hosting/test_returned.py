"""How one result becomes the values of several references."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbray.hosting.returned import split, written, yielded


def test_several_values_in_one_result() -> None:
    assert split("f", (1, 2), 2) == [1, 2]
    assert split("f", {"a": 1, "b": 2}, 2) == ["a", "b"]
    with pytest.raises(TypeError, match="num_returns=2 but returned one int, not 2 values"):
        split("f", 5, 2)
    with pytest.raises(ValueError, match="returned 3 values .Task returned 3 objects"):
        split("f", [1, 2, 3], 2)


def test_a_generator_is_read_as_far_as_it_is_wanted() -> None:
    ended = []

    def endless() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            ended.append(True)

    assert yielded("f", endless(), 3) == ([0, 1, 2], None)
    assert ended


def test_what_it_yielded_before_it_failed_stays() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise KeyError("why")

    values, error = yielded("f", fails(), 3)
    assert values == [1]
    assert isinstance(error, KeyError)
    values, error = yielded("f", iter([1]), 2)
    assert isinstance(error, ValueError)
    assert "f: Task returned 1 objects, but num_returns=2" in str(error)


def test_an_expression_is_a_value() -> None:
    def function() -> Iterator[int]:
        yield 1

    assert written(x for x in ())
    assert not written(function())  # type: ignore[arg-type]
