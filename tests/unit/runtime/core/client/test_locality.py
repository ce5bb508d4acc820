"""Tasks and where their arguments lie."""

from __future__ import annotations

import pytest
from client_play import ME, WORKER, Play, sent

from nbray.config import NEAR_BYTES
from nbray.ids import client_id
from nbray.runtime.core.client.locality import LOOK
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.effects import Effect
from nbray.wire import messages as m

FAR, FURTHER = client_id(2, 5), client_id(3, 5)
LARGE = 4 * NEAR_BYTES


class Places(Play):
    """Tasks over objects on several nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.generation = 0

    def over(self, work: Work, *lies: tuple[int, int]) -> Task:
        """A task whose arguments lie there: (node, bytes)."""
        keys = []
        for node, size in lies:
            self.generation += 1
            slot = m.Slot(node, 1, 0, size, self.generation)
            keys.append((ME, self.brain.objects.store(m.Value(b"", [slot]))))
        return self.task(work, tuple(keys))

    def demands(self) -> list[m.Demand]:
        return sent(self.brain.pump(self.now), m.Demand)


def went(effects: list[Effect]) -> list[tuple[int, int]]:
    return [
        (worker, seq)
        for worker in (WORKER, FAR, FURTHER)
        for message in sent(effects, m.Tasks, worker)
        for seq in message.seqs
    ]


def test_a_worker_gets_what_lies_on_its_node() -> None:
    play = Places()
    work = play.work()
    home, far = play.over(work, (1, LARGE)), play.over(work, (2, LARGE))
    play.brain.pump(play.now)
    assert went(play.grant(FAR, 8)) == [(FAR, far.seq)]
    assert went(play.grant()) == [(WORKER, home.seq)]


@pytest.mark.parametrize("lies", [[(2, LARGE)], [(2, NEAR_BYTES), (1, NEAR_BYTES // 2)], []])
def test_no_free_worker_waits_for_what_lies_there(lies: list[tuple[int, int]]) -> None:
    play = Places()
    task = play.over(play.work(), *lies)
    play.brain.pump(play.now)
    assert went(play.grant(FURTHER, 8)) == [(FURTHER, task.seq)]


def test_of_several_free_workers_the_near_one_gets_it() -> None:
    play = Places()
    work = play.work()
    ended = [play.over(work, (1, 1)) for _ in range(2)]
    play.brain.pump(play.now)
    play.grant()
    play.grant(FAR, 8)
    for worker, task in zip((WORKER, FAR), ended, strict=True):
        play.say(m.Results(worker, [task.seq], [b"1"]))
    task = play.over(work, (2, LARGE))
    assert went(play.brain.pump(play.now)) == [(FAR, task.seq)]


def test_short_tasks_that_lie_elsewhere_are_not_queued_behind_others() -> None:
    play = Places()
    work = play.work()
    work.estimate = 1e-5
    tasks = [play.over(work, (1 + index % 2, LARGE)) for index in range(4)]
    play.brain.pump(play.now)
    assert went(play.grant(FAR, 8)) == [(FAR, tasks[1].seq), (FAR, tasks[3].seq)]


def test_who_is_first_is_not_passed_over_for_ever() -> None:
    play = Places()
    work = play.work()
    first = play.over(work, (1, LARGE))
    play.over(work, (2, LARGE))
    play.brain.pump(play.now)
    effects = play.grant(FAR, 8)
    for _ in range(LOOK + 1):
        ((_, seq),) = went(effects)
        if seq == first.seq:
            return
        play.over(work, (2, LARGE))
        effects = play.say(m.Results(FAR, [seq], [b"1"]))
    pytest.fail("it waits behind whatever comes")


def test_the_node_hears_where_data_lies() -> None:
    play = Places()
    work = play.work()
    play.over(work, (2, LARGE))
    play.over(work, (3, LARGE), (2, 1))
    play.over(work, (3, LARGE), (2, LARGE))
    play.over(work, (2, 100))
    (demand,) = play.demands()
    assert demand.near == {2: 1, 3: 1}
