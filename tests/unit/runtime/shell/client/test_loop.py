"""The baton: who may look for an answer, and what is left after its end."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from nbray.ids import HEAD
from nbray.runtime.shell.client.loop import Loop
from nbray.wire import messages as m
from nbray.wire.codec import encode


class Brain:
    """A client with one unfinished task."""

    tasks = SimpleNamespace(unfinished=1)
    ended = ""

    def pump(self, now: float) -> list[Any]:
        return []

    def next_deadline(self) -> None:
        return None


def test_whoever_has_one_call_under_way_is_lone() -> None:
    news, write = os.pipe()
    post = SimpleNamespace(fd=news, retry_at=None, receive=list, close=lambda _linger: None)
    brain = Brain()
    loop = Loop(post, brain, lambda *_: [], swap_handler=False)  # type: ignore[arg-type]
    assert loop.lone()
    brain.tasks = SimpleNamespace(unfinished=2)
    assert not loop.lone()
    loop.close()
    os.close(news)
    os.close(write)


def test_waking_what_is_closed_writes_into_nobodys_file() -> None:
    news, write = os.pipe()
    post = SimpleNamespace(fd=news, retry_at=None, receive=list, close=lambda _linger: None)
    loop = Loop(post, Brain(), lambda *_: [], swap_handler=False)  # type: ignore[arg-type]
    loop.close()
    ends = [os.pipe() for _ in range(4)]  # they get the numbers that have become free
    loop.wake()
    loop.nudge()
    for end, _ in ends:
        os.set_blocking(end, False)
        with pytest.raises(BlockingIOError):
            os.read(end, 1)
    for end in (news, write, *(one for both in ends for one in both)):
        os.close(end)


def test_an_actors_answers_come_before_the_news_that_it_is_dead() -> None:
    """It has sent them before, and whoever polls hears of several pipes at once, in any order."""
    news, write = os.pipe()
    dead = m.ActorState(HEAD, 1, 2, m.DEAD, 0, 0, "it was killed", b"")
    answers = m.Results(9, [1], [b"value"])
    frames = [[encode(dead)], [encode(answers)]]
    post = SimpleNamespace(
        fd=news, retry_at=None, receive=lambda: frames, close=lambda _linger: None
    )
    heard: list[Any] = []

    def handle(message: Any, _now: float) -> list[Any]:
        heard.append(type(message))
        return []

    loop = Loop(post, Brain(), handle, swap_handler=False)  # type: ignore[arg-type]
    loop.round()
    assert heard == [m.Results, m.ActorState]
    loop.close()
    os.close(news)
    os.close(write)
