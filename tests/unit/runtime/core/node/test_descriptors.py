"""A node without descriptors for everybody: who is served, and who is told what."""

from __future__ import annotations

import msgspec
import pytest
from node_play import ANNA, BEN, CPU, Play, actor

from nbray.events import Figures
from nbray.ids import DRIVER_FLAG, client_id
from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.descriptors import DRIVER, WORKER
from nbray.wire import messages as m


class Few:
    """Room for *count* descriptors."""

    def __init__(self, count: int) -> None:
        self.count = count

    def left(self) -> int:
        return self.count

    def take(self, count: int) -> bool:
        if self.count < count:
            return False
        self.count -= count
        return True

    def told(self) -> str:
        return "ulimit -n is 9"


def crowded(count: int, **more: int) -> Play:
    play = Play(**more)
    room = Few(count)
    play.brain.room = play.brain.pool._room = room
    return play


@pytest.mark.parametrize("count", [0, 1, DRIVER, DRIVER + WORKER - 1])
def test_a_driver_for_whom_there_is_no_room_is_told(count: int) -> None:
    play = crowded(count)
    play.register(ANNA, driver=True)
    ((to, refused),) = play.sent
    assert to == ANNA
    assert isinstance(refused, m.Refused)
    assert refused.full
    assert "ulimit -n is 9" in refused.why
    assert fx.Forget(ANNA) in play.effects
    assert ANNA not in play.brain.clients


def test_the_first_who_come_are_served() -> None:
    play = crowded(4 * DRIVER + WORKER)
    drivers = [client_id(1, DRIVER_FLAG | number) for number in range(1, 8)]
    for driver in drivers:
        play.register(driver, driver=True)
    assert [driver in play.brain.clients for driver in drivers] == [True] * 4 + [False] * 3


def test_a_task_waits_for_a_process_and_says_why() -> None:
    play = crowded(DRIVER + WORKER)
    play.register(ANNA, driver=True)
    play.brain.room.take(WORKER - 1)
    play.say(m.Demand(ANNA, 1, CPU, 1))
    assert not play.forked
    (want,) = play.brain.leases.wants.values()
    assert want.stuck == "the node starts no further process: ulimit -n is 9"


def test_the_last_place_is_for_tasks_not_actors() -> None:
    play = crowded(WORKER)
    assert play.brain.pool.full(actor=True)
    assert not play.brain.pool.full()


@pytest.mark.parametrize("used", [False, True])
def test_the_last_idle_process_is_for_tasks_not_actors(used: bool) -> None:
    play = crowded(100, ready=2)
    play.register(ANNA, driver=True)
    if used:
        play.demand(ANNA, 2)
        for grant in play.granted(ANNA):
            play.demand(ANNA, 0)
            play.give_back(ANNA, grant)
    play.brain.room = play.brain.pool._room = Few(WORKER)
    for number in range(1, 5):
        play.say(actor(number))
    play.tick(30)
    assert len(play.take(m.BecomeActor)) == (0 if used else 1)
    play.demand(ANNA, 1)
    assert play.granted(ANNA)


def test_processes_that_are_coming_count_and_those_that_are_there_do_not_again() -> None:
    play = crowded(100, cpus=4, ready=2)
    play.register(ANNA, driver=True)
    play.auto = False
    play.brain.room = play.brain.pool._room = Few(WORKER)
    play.demand(ANNA, 4)
    assert len(play.granted(ANNA)) == 2
    assert len(play.forked) == 1


def test_a_trouble_is_told_once_to_each_driver() -> None:
    play = Play()
    play.register(ANNA, driver=True)
    full = Figures(trouble="the disk is full")
    for now in range(5):
        play.do(play.brain.figures(full, float(now)))
    play.register(BEN, driver=True)
    play.do(play.brain.figures(msgspec.structs.replace(full, trouble=""), 9.0))
    play.do(play.brain.figures(full, 10.0))
    told = [(to, said.text) for to, said in play.sent if isinstance(said, m.Printed)]
    assert told == [(who, "node m1: the disk is full\n") for who in (ANNA, BEN)]


def test_who_went_and_came_again_is_told_again() -> None:
    play = Play()
    play.do(play.brain.figures(Figures(trouble="no room"), 1.0))
    for _ in range(2):
        play.register(ANNA, driver=True)
        play.say(m.Goodbye(ANNA))
    assert sum(isinstance(said, m.Printed) for _, said in play.sent) == 2
