"""References of a cluster that has ended, in what is given to the next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import nbray
from nbray.ended_references import refuse_references


class Holder:
    def __init__(self, what: Any) -> None:
        self.what = what


class Stubborn:
    def __reduce__(self) -> Any:
        raise ValueError("not me")


@pytest.fixture(scope="module")
def ended() -> Any:
    nbray.init(engine="inline")
    reference = nbray.put(1)
    nbray.shutdown()
    return reference


def test_one_is_refused_wherever_it_is(ended: Any) -> None:
    for values in (ended, [ended], {"a": (1, ended)}, Holder(ended), lambda: ended):
        with pytest.raises(nbray.exceptions.RaySystemError):
            refuse_references(values)


def test_whatever_has_none_passes() -> None:
    for values in (1, ["a"], Holder(SimpleNamespace()), Stubborn()):
        refuse_references(values)
