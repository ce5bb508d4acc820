"""When a client's brain has something to do: asked by one thread while another changes it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from client_play import ME

from nbray.runtime.core.client.brain import ClientBrain
from nbray.wire.messages import Death


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def late(brain: ClientBrain, number: int) -> Callable[[], object]:
    brain.actors.late[ME, number] = (1.0, [])
    return lambda: brain.actors.late.pop((ME, number))


def killed(brain: ClientBrain, number: int) -> Callable[[], object]:
    brain.cancelling.kills.append((1.0, 7, number))
    return brain.cancelling.kills.popleft


def unclaimed(brain: ClientBrain, _number: int) -> Callable[[], object]:
    brain._unclaimed.append((1.0, []))
    return brain._unclaimed.popleft


def dead(brain: ClientBrain, number: int) -> Callable[[], object]:
    brain.tasks._deaths.append((1.0, number, Death(number, "killed")))
    return brain.tasks._deaths.clear


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("change", [late, killed, unclaimed, dead])
def test_it_may_change_meanwhile(
    change: Callable[[ClientBrain, int], Callable[[], object]],
) -> None:
    brain = ClientBrain(ME, 1, lambda *_: b"error")
    ended = threading.Event()

    def changes() -> None:
        number = 0
        while not ended.is_set():
            undo = [change(brain, number + place) for place in range(40)]
            for one in undo:
                one()
            number += 100

    thread = threading.Thread(target=changes)
    thread.start()
    try:
        until = time.monotonic() + 0.2
        said = set()
        while time.monotonic() < until:
            said.add(brain.next_deadline())
    finally:
        ended.set()
        thread.join()
    assert said <= {None, 1.0}
