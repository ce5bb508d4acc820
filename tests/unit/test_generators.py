"""What reading a stream tells whoever shows bars; over a stream that is scripted."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest

from nbray import session
from nbray.generators import ObjectRefGenerator, Stream


class Waits:
    """Stands in for the watch, and for its context."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def __call__(self, at_once: bool = False) -> Waits:
        return self

    def __enter__(self) -> Self:
        self.did.append("enter")
        return self

    def __exit__(self, *_: object) -> None:
        self.did.append("exit")

    def pause(self) -> None:
        self.did.append("pause")

    def resume(self) -> None:
        self.did.append("resume")


def scripted(*gives: Any) -> ObjectRefGenerator[Any]:
    """Gives these one after the other (None: not there yet), then stops."""
    left = iter(gives)
    engine = SimpleNamespace(wait=lambda *_: None)
    made = SimpleNamespace(
        take=lambda: next(left), peek=object, close=lambda: None,
        completed=SimpleNamespace(_engine=engine),
    )  # fmt: skip
    return ObjectRefGenerator(cast("Stream", made))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    made = Waits()
    monkeypatch.setattr(session, "_watcher", made)
    return made


def test_short_waits_of_one_stream_are_one_long_wait(waits: Waits) -> None:
    assert list(scripted(None, 1, None, 2, 3)) == [1, 2, 3]
    assert waits.did == ["enter", "pause", "resume", "pause", "exit"]


def test_what_is_there_is_not_waited_for(waits: Waits) -> None:
    assert list(scripted(1, 2)) == [1, 2]
    assert not waits.did


def test_a_loop_that_is_left_lets_go_of_the_bars(waits: Waits) -> None:
    for _ in scripted(None, 1, 2):
        break
    assert waits.did[-1] == "exit"


def test_a_stream_read_in_another_cell_is_that_ones_wait(waits: Waits) -> None:
    stream = scripted(None, 1, None, 2)
    next(stream)
    token = session.cell.set("another")
    try:
        next(stream)
    finally:
        session.cell.reset(token)
    assert waits.did == ["enter", "pause", "exit", "enter", "pause"]


def test_reading_it_asynchronously_shows_as_one_long_wait_too(waits: Waits) -> None:
    async def read() -> list[Any]:
        return [one async for one in scripted(None, 1, None, 2, 3)]

    assert asyncio.run(read()) == [1, 2, 3]
    assert waits.did == ["enter", "pause", "resume", "pause", "exit"]
