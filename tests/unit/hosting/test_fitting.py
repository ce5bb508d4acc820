"""Displays that can be sent, whatever a user's object says."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.config import MOST_SHOWN
from nbray.hosting.fitting import MOST_METADATA, fitting
from nbray.wire.codec import encode


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("x" * (MOST_SHOWN + 1), "33 MB, too long"),
        ({"rows": ["y" * 1000] * 40_000}, "40 MB, too long"),
        ([b"z" * 1_000_000] * 50, "50 MB, too long"),
    ],
)
def test_what_is_too_large_is_a_sentence(form: Any, says: str) -> None:
    data, _, size = fitting({"text/plain": "it", "application/json": form}, {})
    assert data["text/plain"] == "it"
    assert says in data["application/json"]
    assert size <= MOST_SHOWN


def test_of_many_forms_the_small_ones_remain_in_their_order() -> None:
    given = {"a/a": "x" * (20 << 20), "b/b": "y", "c/c": "z" * (19 << 20)}
    data, _, _ = fitting(given, {})
    assert list(data) == ["a/a", "b/b", "c/c"]
    assert "too long" in data["a/a"]
    assert (data["b/b"], data["c/c"]) == (given["b/b"], given["c/c"])


@pytest.mark.parametrize("form", [object(), {"n": 1 << 70}, "\ud800", {1, 2}])
def test_what_is_no_data_can_be_sent_all_the_same(form: Any) -> None:
    data, metadata, size = fitting({"text/html": form, 3: "x", "k" * 5000: "y"}, {"m": form})  # type: ignore[dict-item]
    assert size >= 2
    assert max(map(len, data)) <= 1000
    assert encode((data, metadata))


def test_metadata_are_bounded() -> None:
    assert fitting({}, {"m": "x" * (MOST_METADATA + 1)})[1] == {}
    assert fitting({"text/plain": "x"}, {"width": 3})[:2] == ({"text/plain": "x"}, {"width": 3})
