"""What an actor is called where it prints."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.config import MOST_LABEL
from nbray.hosting.classes import called


class Says:
    """Is shown as it likes."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def __repr__(self) -> str:
        return self.what  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        (object(), ""), (Says("model 3"), "model 3"), (Says(None), ""),
        (Says("x" * 9999), "x" * MOST_LABEL),
    ],
    ids=["as all are", "its own way", "wrongly", "at length"],
)  # fmt: skip
def test_an_actor_is_called_what_its_class_says(instance: Any, name: str) -> None:
    assert called(instance) == name
