"""What `nbray.progress` tells whoever shows bars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import pytest

import nbray as ray
from nbray import session
from nbray.util.completion import as_completed, progress


class Waits:
    """Stands in for the watch, and for its context."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def __call__(self, at_once: bool = False) -> Waits:
        if at_once:
            self.did.append("at once")
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.did and self.did[0] == "at once" and self.did[-1] != "end":
            self.did.append("end")

    def pause(self) -> None:
        self.did.append("pause")

    def resume(self) -> None:
        self.did.append("resume")


@pytest.fixture
def waits() -> Iterator[Waits]:
    ray.init(engine="inline", num_cpus=2)
    made = Waits()
    before = session.watcher()
    session.watch_waits(made)
    yield made
    session.watch_waits(before)
    ray.shutdown()


@ray.remote
def one() -> int:
    return 1


def test_bars_stand_aside_while_the_loop_does_its_work(waits: Waits) -> None:
    refs = [one.remote(), one.remote()]
    ray.wait(refs, num_returns=2)
    waits.did.clear()
    found = progress(refs)
    assert waits.did == []
    for _ in found:
        waits.did = [did for did in waits.did if did != "end"]
        assert waits.did[-1] == "pause"
    assert waits.did[0] == "at once"
    assert waits.did[-1] == "end"
    assert repr(found) == "<2 of 2 completed>"


def test_a_loop_that_is_left_lets_go_of_the_bars(waits: Waits) -> None:
    for _ in progress([one.remote(), one.remote()]):
        break
    assert waits.did[-1] == "end"


def test_as_completed_asks_for_no_bars(waits: Waits) -> None:
    assert len(list(as_completed([one.remote(), one.remote()]))) == 2
    assert waits.did == []
