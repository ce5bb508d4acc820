"""The baton: when a waiting thread looks for a quick answer instead of sleeping."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nbray.runtime.shell.client.loop import MOST_RESTS, SPIN, Loop


class Brain:
    """A client with one unfinished task."""

    tasks = SimpleNamespace(unfinished=1)
    ended = ""

    def pump(self, now: float) -> list[Any]:
        return []

    def next_deadline(self) -> None:
        return None


@pytest.fixture
def made() -> Iterator[tuple[Loop, int]]:
    """A loop that spins, and where to write for it to have news."""
    news, write = os.pipe()
    post = SimpleNamespace(fd=news, retry_at=None, receive=list, close=lambda _linger: None)
    loop = Loop(post, Brain(), lambda *_: [], swap_handler=False)  # type: ignore[arg-type]
    loop._spins = True
    yield loop, write
    loop.close()
    os.close(news)
    os.close(write)


def test_what_is_there_is_found_at_once(made: tuple[Loop, int]) -> None:
    loop, write = made
    os.write(write, b"x")
    assert loop._look(time.monotonic())


def test_looking_in_vain_rests_twice_as_long_each_time(made: tuple[Loop, int]) -> None:
    loop, write = made
    rests = []
    for _ in range(10):
        assert not loop._look(time.monotonic())
        rests.append(loop._rests)
    assert rests == [1, 3, 7, 15, 31, 63, 127, 255, 255, MOST_RESTS]
    os.write(write, b"x")
    assert loop._look(time.monotonic())
    os.read(loop.post.fd, 1)
    assert not loop._look(time.monotonic())
    assert loop._rests == 1, "an answer in time makes up for all before"


def test_it_looks_only_after_a_quick_answer_and_for_one_call(made: tuple[Loop, int]) -> None:
    loop, _ = made
    now = time.monotonic()
    assert not loop._may_look(now, None)
    loop._quick = True
    assert loop._may_look(now, None)
    assert not loop._may_look(now, now + SPIN / 2), "a deadline is kept"
    loop.brain.tasks.unfinished = 2
    assert not loop._may_look(now, None)
    loop.brain.tasks.unfinished = 1


def test_resting_is_counted_in_waits(made: tuple[Loop, int]) -> None:
    loop, _ = made
    loop._quick = True
    loop._rests = 2
    assert [loop._may_look(time.monotonic(), None) for _ in range(3)] == [False, False, True]


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
