"""Tasks beside one whose C code keeps its interpreter's lock, as a sum or a sort does."""

from __future__ import annotations

import os
import time

import pytest
from api import ray


@pytest.fixture
def gate(tmp_path):
    """A pipe by name: who reads from it waits until something is written."""
    path = str(tmp_path / "gate")
    os.mkfifo(path)
    return path


def held(path):
    import ctypes

    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(pipe, True)
    ready = ctypes.c_short * 4  # a struct pollfd: C waits for the pipe, with the lock
    asked = ready(pipe, 0, 1, 0)
    ctypes.PyDLL(None).poll(ctypes.byref(asked), 1, -1)
    os.close(pipe)
    return "held"


@ray.remote
def short(value):
    return value


def opened(gate, ref):
    """The value of *ref*, once somebody writes."""
    with open(gate, "w", opener=lambda name, _: os.open(name, os.O_RDWR)) as pipe:
        pipe.write("go on")
        pipe.flush()
        return ray.get(ref, timeout=60)


@pytest.mark.concurrent
@pytest.mark.parametrize("before", [0, 20])
@pytest.mark.parametrize("known", [False, True])
def test_short_tasks_do_not_wait_for_it(gate, before, known):
    hold = ray.remote(held)
    assert ray.get([short.remote(value) for value in range(20)]) == list(range(20))
    if known:
        ref = hold.remote(gate)
        time.sleep(0.05)  # it has taken a while, and not long
        assert opened(gate, ref) == "held"
    early = [short.remote(value) for value in range(before)]
    long = hold.remote(gate)
    late = [short.remote(value) for value in range(40)]
    assert ray.get(early, timeout=60) == list(range(before))
    assert ray.get(late, timeout=60) == list(range(40))
    assert ray.wait([long], timeout=0) == ([], [long])
    assert opened(gate, long) == "held"
