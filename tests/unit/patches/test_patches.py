"""An attribute of somebody else's: replaced, and put back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nbray.patches import Replaced


class Theirs:
    def greet(self) -> str:
        return "hello"


@pytest.mark.parametrize(
    ("owner", "its_own"),
    [(SimpleNamespace(greet="hello"), True), (type("Kind", (), {"greet": 1}), True),
     (type("Heir", (Theirs,), {}), False), (Theirs(), False)],
)  # fmt: skip
def test_all_is_as_it_was(owner: Any, its_own: bool) -> None:
    before = vars(owner).get("greet")
    patch = Replaced(owner, "greet")
    for _ in range(2):
        patch.put("ours")
        patch.put("ours")
        assert owner.greet == "ours"
        assert patch.active
        patch.take_back()
        patch.take_back()
        assert vars(owner).get("greet") is before
        assert ("greet" in vars(owner)) is its_own
        assert not patch.active


def test_what_stood_there_can_be_called() -> None:
    one = Theirs()
    patch = Replaced(one, "greet")
    patch.put(lambda: f"{patch.before()}, world")
    assert one.greet() == "hello, world"


def test_anothers_is_left_alone_and_ours_stays_below_it() -> None:
    one = SimpleNamespace(greet=lambda: "hello")
    patch = Replaced(one, "greet")
    patch.put(lambda: patch.before() + (", world" if patch.active else ""))
    ours = one.greet
    theirs = one.greet = lambda: ours() + "!"
    assert one.greet() == "hello, world!"
    patch.take_back()
    assert one.greet is theirs
    assert one.greet() == "hello!"
    patch.put(ours)
    assert one.greet is theirs
    assert one.greet() == "hello, world!"


def test_ours_is_put_there_again_where_it_was_overwritten() -> None:
    one = Theirs()
    patch = Replaced(one, "greet")
    patch.put("ours")
    del one.greet
    patch.put("ours")
    assert one.greet == "ours"
    patch.take_back()
    assert vars(one) == {}


def test_what_was_not_there_is_not_there_again() -> None:
    one = SimpleNamespace()
    patch = Replaced(one, "greet")
    patch.put("ours")
    patch.take_back()
    assert vars(one) == {}
