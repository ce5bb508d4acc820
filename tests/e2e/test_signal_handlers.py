"""Handlers of signals that raise, or call nbray, whatever nbray is in the middle of."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import nbray

# one that comes within `__del__` is lost, as Python has it
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Alarm(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    nbray.init(num_cpus=2, include_dashboard=False)
    yield
    nbray.shutdown()


@contextmanager
def alarms(what: Callable[[], object], every: float) -> Iterator[list[bool]]:
    """Have *what* done every few milliseconds, while the list that is given holds something."""
    armed: list[bool] = []

    def handler(*_: object) -> None:
        if armed:
            armed.clear()
            what()

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield armed
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def work(seconds: float, what: Callable[[], object], every: float) -> int:
    """Call tasks and an actor, for so long; how often *what* has interrupted it by an error."""
    from nbray import get, put, remote, wait
    from nbray.exceptions import GetTimeoutError, RaySystemError

    @remote
    def same(x: int) -> int:
        return x

    @remote(num_cpus=0)
    class Actor:
        def same(self, x: int) -> int:
            return x

    actor = Actor.remote()
    get([actor.same.remote(1), same.remote(1)])
    interrupted = 0
    until = time.monotonic() + seconds
    with alarms(what, every) as armed:
        while time.monotonic() < until:
            try:
                armed.append(True)
                refs = [same.remote(i) for i in range(10)]
                assert get(refs, timeout=60) == list(range(10))
                assert len(wait(refs, num_returns=10, timeout=60)[0]) == 10
                assert get([actor.same.remote(i) for i in range(10)], timeout=60) == [*range(10)]
                assert len(get(put(bytes(200_000)), timeout=60)) == 200_000
                armed.clear()
            except GetTimeoutError:
                raise
            except (Alarm, TypeError, RaySystemError) as error:
                # What cannot be pickled, or read, is told as such, whatever it is.
                if "Alarm" not in "".join(traceback.format_exception(error)):
                    raise
                interrupted += 1
        armed.clear()
    assert get([same.remote(7), actor.same.remote(8)], timeout=60) == [7, 8]
    return interrupted


def strike() -> None:
    raise Alarm


def asks() -> None:
    assert nbray.get(nbray.put(1)) == 1

    @nbray.remote(num_cpus=0)
    def two() -> int:
        return 2

    assert nbray.get(two.remote(), timeout=60) == 2


@nbray.remote(num_cpus=0)
def in_a_task(seconds: float, what: Callable[[], object], every: float) -> int:
    return work(seconds, what, every)


@pytest.mark.parametrize("where", ["driver", "task"])
def test_one_that_raises_leaves_nothing_half_done(where: str) -> None:
    if where == "driver":
        assert work(0.4, strike, 0.003)
    else:
        assert nbray.get(in_a_task.remote(0.4, strike, 0.003), timeout=120)


@pytest.mark.parametrize("where", ["driver", "task"])
def test_one_that_calls_nbray_does_not_wait_for_itself(where: str) -> None:
    if where == "driver":
        assert work(0.4, asks, 0.005) == 0
    else:
        assert nbray.get(in_a_task.remote(0.4, asks, 0.005), timeout=120) == 0
