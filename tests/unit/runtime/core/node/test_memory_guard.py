"""Whose work a node ends when memory is short, and what follows."""

from __future__ import annotations

import msgspec
import pytest
from node_play import ANNA, BEN, CPU, Play, actor, with_two_drivers

from nbray import config
from nbray.events import Figures
from nbray.ids import HEAD
from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.memory_guard import TROUBLE, Seen
from nbray.runtime.core.node.settings import GuardSettings
from nbray.wire import messages as m

GB = 1 << 30


class Short(Play):
    """A node whose memory is filled by its workers."""

    def __init__(self, cpus: int = 4, ready: int = 0) -> None:
        super().__init__(cpus=cpus, ready=ready)
        self.register(ANNA, driver=True)
        self.register(BEN, driver=True)

    def leases(self, client: int, count: int, shape: int = 1, **more: bool) -> list[m.Granted]:
        self.demand(client, count, shape, **more)
        self.now += 0.1
        return self.granted(client)

    def low(self, held: dict[int, float], used: float = 9.8) -> list[int]:
        """Memory is short: who is ended; *held* in GB by worker."""
        pids = {worker & 0xFFFF: int(size * GB) for worker, size in held.items()}
        largest = tuple((pid, "python", size) for pid, size in pids.items())
        seen = Seen(int(used * GB), 10 * GB, pids, largest)
        self.do(self.brain.guard.read(seen, self.now))
        return self.kills()

    def dies(self, worker: int) -> m.Death:
        self.do(self.brain.worker_gone(worker, "killed", self.now, peak=3 * GB))
        return self.take(m.Died, ANNA)[-1].deaths[0]


@pytest.fixture
def play() -> Short:
    return Short()


def test_the_newest_of_who_has_most_running_goes(play: Short) -> None:
    ours = play.leases(ANNA, 1) + play.leases(ANNA, 2) + play.leases(ANNA, 3)
    (other,) = play.leases(BEN, 1)
    held = {one.worker: 2.0 for one in [*ours, other]}
    assert play.low(held) == [ours[-1].worker]
    assert play.low(held) == []  # one at a time
    death = play.dies(ours[-1].worker)
    assert (death.again, death.out_of_memory, death.intended) == (True, True, True)
    assert "9.8 GB of the 10 GB" in death.cause
    assert "had used up to 3 GB" in death.cause
    assert f"itself (pid {ours[-1].worker & 0xFFFF}) 2 GB, " in death.cause


def test_what_may_not_run_twice_goes_last(play: Short) -> None:
    (again,) = play.leases(ANNA, 1)
    (once,) = play.leases(ANNA, 1, 2, once=True)
    held = {again.worker: 3.0, once.worker: 6.0}
    assert play.low(held) == [again.worker]
    assert play.dies(again.worker).again
    assert play.low({once.worker: 9.0}) == [once.worker]
    death = play.dies(once.worker)
    assert not death.again
    assert "more than there is for it with nothing beside it" in death.cause


def test_what_began_last_is_known_by_what_workers_say(play: Short) -> None:
    first, second = *play.leases(ANNA, 1), *play.leases(ANNA, 2)
    play.now += 1
    play.say(m.Worked(first.worker, 1, 0, 1))  # it runs its next
    assert play.low({first.worker: 4.0, second.worker: 4.0}) == [first.worker]


def test_who_has_little_is_left_alone_whatever_the_order(play: Short) -> None:
    play.leases(ANNA, 1)
    (hog,) = play.leases(BEN, 1)
    small = play.leases(ANNA, 3)
    assert play.low({one.worker: 0.05 for one in small} | {hog.worker: 9.0}) == [hog.worker]
    assert not play.dies(hog.worker).again  # with nothing beside it there is no more


def test_tasks_before_actors_that_do_not_come_again(play: Short) -> None:
    play.say(actor(5))
    (made,) = play.take(m.BecomeActor)
    worker = next(iter(play.brain.residents.by_worker))
    (task,) = play.leases(ANNA, 1)
    assert made.spec.actor == 5
    assert play.low({worker: 6.0, task.worker: 3.0}) == [task.worker]
    play.dies(task.worker)
    assert play.low({worker: 9.0}) == [worker]
    play.dies(worker)
    (down,) = play.take(m.ActorDown, HEAD)
    assert "before the machine is out of memory" in down.cause


def test_nobody_goes_while_what_another_had_is_taken_back(play: Short) -> None:
    """The kernel was faster, and its victim's memory is not free yet."""
    first, second = play.leases(ANNA, 2)
    held = {first.worker & 0xFFFF: 4 * GB, second.worker & 0xFFFF: 5 * GB}
    assert set(play.brain.guard.pids()) == set(held)
    seen = Seen(int(9.8 * GB), 10 * GB, held, (), frozenset({second.worker & 0xFFFF}))
    assert play.brain.guard.read(seen, play.now) == []
    play.now += config.MEMORY_PATIENCE / 2
    assert play.brain.guard.read(seen, play.now) == []
    assert play.brain.guard.due() == pytest.approx(play.now + config.MEMORY_SOON)
    play.brain.guard.read(Seen(GB, 10 * GB), play.now)
    play.now += 60.0  # the next who ends has as much patience
    assert play.brain.guard.read(seen, play.now) == []
    play.now += config.MEMORY_PATIENCE
    assert play.brain.guard.read(seen, play.now)  # it hangs


def test_nobody_is_started_in_place_of_who_is_ending() -> None:
    """He would find no memory, and the kernel would end another for it."""
    play = Short(ready=1)
    (task,) = play.leases(ANNA, 1)
    assert play.low({task.worker: 9.0}) == [task.worker]
    play.do(play.brain.tick(play.now))
    assert [worker.client for worker in play.brain.pool] == [task.worker]
    play.dies(task.worker)
    assert [worker.client for worker in play.brain.pool] not in ([], [task.worker])


def test_neither_programs_nor_nothing_at_all(play: Short) -> None:
    assert play.low({ANNA: 9.0}) == []
    (task,) = play.leases(ANNA, 1)
    assert play.low({ANNA: 9.0, task.worker: 0.0}) == []


def test_idle_processes_are_asked_first(play: Short) -> None:
    (task,) = play.leases(ANNA, 1)
    (idle,) = play.leases(BEN, 1)
    play.demand(BEN, 0)
    play.give_back(BEN, idle)
    held = {task.worker: 5.0, idle.worker: 4.0}
    assert play.low(held) == []
    (asked,) = play.take(m.Exit, idle.worker)
    assert asked.if_idle
    assert play.low(held) == [task.worker]  # it has declined, or takes its time


def test_less_runs_beside_what_is_tried_again_and_more_after_a_while(play: Short) -> None:
    four = play.leases(ANNA, 4)
    assert len(four) == 4
    (victim,) = play.low({one.worker: 2.0 for one in four})
    play.dies(victim)
    assert not play.granted(ANNA)  # a CPU is free, and it wants four
    enough = Seen(GB, 10 * GB)
    play.now += config.MEMORY_RELAX
    play.do([*play.brain.guard.read(enough, play.now), *play.brain.tick(play.now)])
    assert len(play.granted(ANNA)) == 1
    assert not play.brain.scheduler.most


def test_it_looks_while_something_runs_and_sooner_when_little_is_left(play: Short) -> None:
    guard = play.brain.guard
    assert guard.due() is None
    play.leases(ANNA, 1)
    assert guard.due() is not None
    guard.read(Seen(GB, 10 * GB), 50.0)
    assert guard.due() == 50.0 + config.MEMORY_LOOK
    guard.read(Seen(int(9.4 * GB), 10 * GB), 60.0)
    assert guard.due() == pytest.approx(60.0 + 0.1 * GB / config.MEMORY_RATE, rel=1e-3)
    guard.settings = GuardSettings(every=0.0)
    assert guard.due() is None


def test_the_limit_as_ray_counts_it() -> None:
    assert GuardSettings(0.9).limit(100 * GB) == 90 * GB
    assert GuardSettings(0.9, 2 * GB).limit(100 * GB) == 98 * GB
    assert GuardSettings(0.9, 2 * GB).limit(10 * GB) == 9 * GB


def test_screens_say_so_for_a_while(play: Short) -> None:
    (task,) = play.leases(ANNA, 1)
    play.low({task.worker: 9.0})
    play.do(play.brain.figures(Figures(memory_total=10 * GB), play.now))
    assert play.take(m.Load, HEAD)[-1].figures.trouble == TROUBLE
    assert TROUBLE in play.take(m.Printed, ANNA)[0].text
    full = msgspec.structs.replace(Figures(), trouble="the disk is full")
    assert play.brain.guard.noted(full, play.now) is full
    play.now += config.MEMORY_RELAX
    assert not play.brain.guard.noted(Figures(), play.now).trouble


def test_the_kernel_was_faster() -> None:
    play = with_two_drivers()
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.do(play.brain.worker_gone(first.worker, "SIGKILL", play.now, oom=True))
    death = play.take(m.Died, ANNA)[0].deaths[0]
    assert (death.again, death.out_of_memory, death.intended) == (False, True, False)
    assert not play.granted(ANNA)
    assert play.brain.scheduler.most == {(ANNA, 1): 1}
    assert [e for e in play.effects if isinstance(e, fx.Kill)] == []
    assert CPU


def test_who_cannot_be_tried_again_and_has_little_is_left_to_the_kernel(play: Short) -> None:
    (once,) = play.leases(ANNA, 1, 2, once=True)
    assert play.low({once.worker: 1.4}) == []
    assert play.low({once.worker: 1.6}) == [once.worker]
