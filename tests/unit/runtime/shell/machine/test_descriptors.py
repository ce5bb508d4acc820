"""Descriptors: the limit, what is counted, what is promised."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nbray.config import DESCRIPTORS
from nbray.runtime.shell.machine.descriptors import Room, limit, used, widen

PROGRAM = """
import resource
from nbray.runtime.shell.machine.descriptors import limit, widen
resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {1}))
print(widen(), limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(64, 128, 128), (100, 100, 100), (256, 4096, 4096)]
)
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int, then: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(soft, hard)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(then), str(then), str(then), str(hard)]


def test_it_is_never_lowered_and_never_immense() -> None:
    before = limit()
    assert widen() >= min(before, DESCRIPTORS)
    assert limit() >= before


LOWERED = """
import os, resource
from nbray.runtime.shell.machine.descriptors import Reserve, widen
widen()
reserve = Reserve()
resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
while True:
    try:
        print(os.open(os.devnull, os.O_RDONLY) > 0, len(reserve))
        break
    except OSError:
        assert reserve.spend()
"""


@pytest.mark.parametrize("lowered", [0, 7])
def test_a_limit_that_was_lowered_below_what_is_open_is_raised_again(lowered: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOWERED.format(lowered)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "6"]


def test_what_is_open_is_counted() -> None:
    before = used()
    made = [os.dup(0) for _ in range(5)]
    assert used() == before + 5
    for one in made:
        os.close(one)
    assert used() == before


class Counted:
    def __init__(self, most: int) -> None:
        self.now, self.count, self.most = 0.0, 20, most
        self.room = Room(lambda: self.count, lambda: self.most, lambda: self.now)


@pytest.mark.parametrize(("most", "left"), [(128, 100), (256, 220), (1024, 940), (24, -4)])
def test_a_reserve_is_given_to_nobody(most: int, left: int) -> None:
    assert Counted(most).room.left() == left


def test_what_is_promised_counts_until_it_is_there() -> None:
    made = Counted(128)
    assert made.room.take(60)
    assert not made.room.take(60)
    assert made.room.take(40)
    made.now, made.count = 1.0, 80
    assert made.room.left() == 40


def test_who_is_refused_is_told_the_limit() -> None:
    assert "128" in Counted(128).room.told()
    assert "ulimit -n" in Counted(128).room.told()
