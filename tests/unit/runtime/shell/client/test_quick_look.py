"""When a waiting thread looks for a quick answer instead of sleeping."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

import pytest

from nbray.runtime.shell.client.quick_look import MOST_RESTS, SPIN, QuickLook


@pytest.fixture
def made() -> Iterator[tuple[QuickLook, int, int]]:
    """One, and where news is read and written."""
    news, write = os.pipe()
    poll = select.poll()
    poll.register(news, select.POLLIN)
    yield QuickLook(poll), news, write
    os.close(news)
    os.close(write)


def test_what_is_there_is_found_at_once(made: tuple[QuickLook, int, int]) -> None:
    quick, _, write = made
    os.write(write, b"x")
    assert quick.look(time.monotonic())


def test_looking_in_vain_rests_twice_as_long_each_time(made: tuple[QuickLook, int, int]) -> None:
    quick, news, write = made
    rests = []
    for _ in range(10):
        assert not quick.look(time.monotonic())
        rests.append(quick.rests)
    assert rests == [1, 3, 7, 15, 31, 63, 127, 255, 255, MOST_RESTS]
    os.write(write, b"x")
    assert quick.look(time.monotonic())
    os.read(news, 1)
    assert not quick.look(time.monotonic())
    assert quick.rests == 1, "an answer in time makes up for all before"


def test_it_looks_only_after_a_quick_answer(made: tuple[QuickLook, int, int]) -> None:
    quick, _, _ = made
    now = time.monotonic()
    assert not quick.worth_it(now, None)
    quick.hopes = True
    assert quick.worth_it(now, None)
    assert not quick.worth_it(now, now + SPIN / 2), "a deadline is kept"


def test_resting_is_counted_in_waits(made: tuple[QuickLook, int, int]) -> None:
    quick, _, _ = made
    quick.hopes = True
    quick.rests = 2
    assert [quick.worth_it(time.monotonic(), None) for _ in range(3)] == [False, False, True]
