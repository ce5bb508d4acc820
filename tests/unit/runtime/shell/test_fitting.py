"""Displays that can be sent, whatever a user's object says."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.config import MOST_SHOWN
from nbray.runtime.shell.fitting import MOST_METADATA, fitting
from nbray.wire.codec import encode


def nested() -> Any:
    inside: Any = []
    for _ in range(100_000):
        inside = [inside]
    return inside


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("x" * (MOST_SHOWN + 1), "33 MB, too long"),
        ({"rows": ["y" * 1000] * 40_000}, "40 MB, too long"),
        (object(), "no data"),
        ({"n": 1 << 70}, "no data"),
        ({"deep": nested()}, "no data"),
    ],
)
def test_what_cannot_be_sent_is_a_sentence(form: Any, says: str) -> None:
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


def test_half_characters_and_odd_keys_and_metadata() -> None:
    data, metadata, _ = fitting({"text/html": "\ud800", 3: "x", "k" * 5000: "y"}, {"m": object()})
    encode((data, metadata))
    assert data["text/html"] == "\\ud800"
    assert metadata == {}
    assert fitting({}, {"m": "x" * (MOST_METADATA + 1)})[1] == {}
    assert fitting({"text/plain": "x"}, {"width": 3})[:2] == ({"text/plain": "x"}, {"width": 3})
