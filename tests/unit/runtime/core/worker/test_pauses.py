"""A worker whose task waits: whose CPU it goes on with."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.ids import DRIVER_FLAG, client_id, node_client
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.effects import Effect, Send
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.wire import messages as m

DRIVER, ME = client_id(1, DRIVER_FLAG | 1), client_id(1, 2)
NEAR, FAR = client_id(1, 3), client_id(2, 3)
NODE = node_client(1)
CPU, HALF = {"CPU": 10_000}, {"CPU": 5_000}


def sent(effects: list[Effect], kind: type) -> list[Any]:
    sends = [effect.message for effect in effects if isinstance(effect, Send)]
    return [message for message in sends if isinstance(message, kind)]


class Play:
    """A worker that runs a task, which has launched another of *shape* at *child*."""

    def __init__(self, child: int, shape: m.Shape) -> None:
        self.client = ClientBrain(ME, 1, lambda *_: b"error")
        self.worker = WorkerBrain(self.client)
        spec = m.Spec(1, b"f", "f", 1, b"", "", DRIVER, 0, CPU)
        self.item = self.worker.current = Item(DRIVER, spec, 1, b"", None, [], 1.0)
        work = Work(spec, 3, self.client.tasks.pools.pool(shape, 1, 0), Tally("", 1.0), b"code")
        self.work = work
        task = Task(5, work, b"", 1)
        self.client.objects.promise(task, 5, 1)
        self.client.submitted.append(task)
        self.client.pump(1.0)
        assert sent(self.worker.block(self.item), m.Blocked)
        assert sent(self.say(m.Lend(NODE)), m.Lent)
        self.say(m.Granted(NODE, 1, 7, child))
        self.child = child

    def say(self, message: Any) -> list[Effect]:
        return [*self.worker.handle(message, 1.0), *self.client.pump(1.0)]

    def ends(self) -> None:
        self.say(m.Results(self.child, [5], [b"5"]))


@pytest.mark.parametrize(
    ("child", "shape", "goes_on"),
    [(NEAR, CPU, True), (NEAR, HALF, False), (FAR, CPU, False)],
)
def test_it_goes_on_at_once_with_the_cpu_of_a_child_of_its_node(
    child: int, shape: m.Shape, goes_on: bool
) -> None:
    play = Play(child, shape)
    play.ends()
    told = sent(play.worker.unblock(play.item), m.Unblocked)
    assert play.worker.pauses.awaits is not goes_on
    assert [one.waits for one in told] == [True] * (not goes_on)


def test_it_takes_no_cpu_on_which_something_runs() -> None:
    play = Play(NEAR, CPU)
    assert sent(play.worker.unblock(play.item), m.Unblocked)
    assert play.worker.pauses.awaits
    play.say(m.Resume(NODE))
    assert not play.worker.pauses.awaits


def test_the_childs_cpu_is_set_aside_until_its_own_is_back() -> None:
    play = Play(NEAR, CPU)
    play.ends()
    play.worker.unblock(play.item)
    ((lease, _),) = play.client.tasks.pools.leases()
    assert lease.parked
    play.say(m.Resume(NODE))
    assert not lease.parked


def test_whoever_went_on_unasked_lends_again_when_he_waits_again() -> None:
    play = Play(NEAR, CPU)
    play.worker.unblock(play.item)
    assert sent(play.worker.pauses.go_on(), m.Unblocked)
    assert play.worker.pauses.go_on() == []
    assert sent(play.worker.block(play.item), m.Blocked)
    assert sent(play.say(m.Lend(NODE)), m.Lent)


@pytest.mark.parametrize("how", ["resumed", "overdrawn"])
def test_whoever_awaits_its_cpus_is_woken_once(how: str) -> None:
    play = Play(NEAR, CPU)
    play.worker.unblock(play.item)
    pauses = play.worker.pauses
    woken: list[tuple[int, bool]] = []
    for number in (1, 2):
        pauses.wakers.append(lambda number=number: woken.append((number, pauses.awaits)))
    for _ in range(2):
        if how == "resumed":
            play.say(m.Resume(NODE))
        else:
            pauses.go_on()
        assert woken == [(1, False), (2, False)]


@pytest.mark.parametrize("thread", [False, True])
@pytest.mark.parametrize("cpus", [0, 10_000])
def test_a_wait_that_nobody_makes_use_of_begins_and_ends_by_one_word(
    cpus: int, thread: bool
) -> None:
    """None at all of a task that runs on no CPU: it has none to lend."""
    client = ClientBrain(ME, 1, lambda *_: b"error")
    worker = WorkerBrain(client)
    spec = m.Spec(1, b"f", "f", 1, b"", "", DRIVER, 0, {"CPU": cpus} if cpus else {})
    item = worker.current = Item(DRIVER, spec, 1, b"", None, [], 1.0)
    for _ in range(2):
        begins = sent(worker.block(item), m.Blocked)
        if thread:  # another one of the task's waits, too
            assert worker.block(item, main=False) == []
        ends = sent(worker.unblock(item), m.Unblocked)
        assert (len(begins), [one.waits for one in ends]) == (cpus > 0, [False] * (cpus > 0))
        assert not worker.pauses.awaits
        if thread:
            assert worker.unblock(item) == []
        assert not worker.waits()


@pytest.mark.parametrize("main", [False, True])
def test_what_was_set_aside_is_used_as_soon_as_the_task_waits_again(main: bool) -> None:
    """Also if it is a thread that waits, and the process is seen to stand still only later."""
    play = Play(NEAR, CPU)
    play.ends()
    play.worker.unblock(play.item)
    ((lease, _),) = play.client.tasks.pools.leases()
    assert lease.parked
    work = play.work
    task = Task(6, work, b"", 1)
    play.client.objects.promise(task, 6, 1)
    play.client.submitted.append(task)
    assert not sent(play.client.pump(1.0), m.Tasks)
    told = play.worker.block(play.item, main)
    for now in (1.1, 1.2, 1.3):
        told += [*play.client.pump(now), *play.worker.tick(now)]
    assert [one.seqs for one in sent(told, m.Tasks)] == [[6]]


def test_a_task_that_awaits_its_cpus_offers_them_to_nobody() -> None:
    play = Play(NEAR, CPU)
    play.worker.unblock(play.item)
    assert play.worker.pauses.awaits
    assert play.worker.block(play.item) == []
    assert not sent(play.say(m.Resume(NODE)), m.Blocked)
