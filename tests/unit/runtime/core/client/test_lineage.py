"""Playbooks of lost objects: what runs again, what is known for how long, what fails and why."""

from __future__ import annotations

import re
from typing import Any

import pytest
from client_play import ME, NODE, WORKER, Caller, Play, sent

from nbray.ids import client_id, node_client
from nbray.runtime.core.client.lineage import RECIPE_BYTES, number_of
from nbray.runtime.core.client.objects.objects import (
    FAILED,
    MOST_RETURNS,
    MULTI,
    PENDING,
    READY,
    STORED,
    Entry,
)
from nbray.runtime.core.client.streams import MOST_YIELDED, STREAMS, StreamTask
from nbray.runtime.core.client.task_records import Task, Work
from nbray.wire import messages as m

FAR, FARTHER, THIRD = client_id(2, 1), client_id(3, 1), client_id(1, 9)


def slot(node: int, number: int = 1) -> m.Slot:
    return m.Slot(node, 1, 0, 5_000_000, number)


class Lost(Play):
    """A driver on node 1, with a worker on node 2 that stores what it returns there."""

    def __init__(self) -> None:
        super().__init__()
        self.work_ = self.work()
        self.numbers = 0
        self.known = 0

    def entry(self, task: Task, place: int = 0) -> Entry:
        return self.brain.objects.owned[task.seq + place]

    def grant_far(self, worker: int = FAR) -> list[Any]:
        self.known += 1
        return sent(self.grant(worker, 100 + self.known), m.Tasks)

    def stored(self, task: Task, worker: int = FAR, refs: Any = ()) -> None:
        """*task* ends at *worker*, with a large result."""
        self.numbers += 1
        value = m.Value(b"", [slot(worker >> 32, self.numbers)], list(refs))
        self.say(m.Results(worker, [], [], [m.Outcome(task.seq, [value])]))

    def made(self, *deps: m.Ref, worker: int = FAR, work: Work | None = None) -> Task:
        """A task that has run there."""
        task = self.task(work or self.work_, deps)
        self.brain.pump(self.now)
        self.grant_far(worker)
        self.stored(task, worker)
        self.now += 1
        self.brain.tick(self.now)  # the idle lease goes back
        return task

    def lose(self, node: int = 2) -> list[int]:
        """The node dies; the tasks that are queued then."""
        self.say(m.NodeLost(NODE, node, "it lost power"))
        self.now += 1
        self.brain.tick(self.now)
        self.brain.pump(self.now)
        return self.queued()

    def queued(self) -> list[int]:
        return [task.seq for pool in self.brain.tasks.pools.active.values() for task in pool.queue]

    def key(self, task: Task) -> m.Ref:
        return (ME, task.seq)

    def drop(self, *tasks: Task) -> None:
        self.brain.objects.drop(self.key(task) for task in tasks)
        self.brain.pump(self.now)

    def error(self, entry: Entry) -> str:
        assert entry.state == FAILED
        return bytes(entry.value.data).decode()


def test_what_was_lost_is_made_again_under_its_number_and_what_is_there_is_not() -> None:
    play = Lost()
    lost, kept = play.made(), play.made(worker=FARTHER)
    assert play.lose() == [lost.seq]
    assert play.entry(lost).state == PENDING
    assert play.entry(kept).state == STORED
    assert lost.attempt == 1
    assert lost.work.tally.remade == 1
    assert play.brain.lineage.sentences({}) == {
        "": ["1 running again: what they had made was lost with its node"]
    }
    (tasks,) = play.grant_far(FARTHER)
    assert tasks.seqs == [lost.seq]
    play.stored(lost, FARTHER)
    assert play.entry(lost).value.slots[0].node == 3
    assert not play.brain.objects.again
    assert not play.brain.lineage.sentences({})
    assert play.brain.tasks.unfinished == 0


def test_a_copy_elsewhere_saves_it() -> None:
    play = Lost()
    task = play.made()
    play.say(m.Moved(node_client(3), task.seq, slot(3, 50)))
    assert play.lose() == []
    assert [one.node for one in play.entry(task).value.slots] == [3]
    play.say(m.Moved(node_client(2), task.seq, slot(2, 51)))  # news from before its death
    assert [one.node for one in play.entry(task).value.slots] == [3]


def test_an_argument_that_is_lost_too_is_made_first() -> None:
    play = Lost()
    first = play.made()
    second = play.made(play.key(first))
    assert play.lose() == [first.seq]
    assert second.missing == 1
    play.grant_far(FARTHER)
    play.stored(first, FARTHER)
    assert play.queued() == []
    assert list(play.brain.tasks.pools.by_worker[FARTHER].inflight) == [second.seq]
    assert second.extra is not None
    assert second.extra.deps[0][1].slots[0].node == 3


def test_an_argument_that_only_the_recipe_names_is_made_and_ends_again() -> None:
    play = Lost()
    first = play.made()
    second = play.made(play.key(first))
    third = play.made(play.key(second))
    play.drop(first, second)
    assert set(play.brain.objects.owned) == {third.seq}
    assert len(play.brain.lineage.recipes) == 3
    assert play.lose() == [first.seq]
    for task in (first, second, third):
        play.grant_far(FARTHER)
        play.stored(task, FARTHER)
    assert play.entry(third).state == STORED
    play.brain.pump(play.now)
    assert set(play.brain.objects.owned) == {third.seq}
    play.drop(third)
    assert not play.brain.objects.owned
    assert not play.brain.lineage.recipes
    assert not play.brain.lineage.wanted
    assert play.brain.lineage.bytes == 0


def test_small_arguments_are_part_of_the_recipe() -> None:
    play = Lost()
    small = play.task(play.work_)
    play.brain.pump(play.now)
    play.grant_far()
    play.say(m.Results(FAR, [small.seq], [b"small"]))
    task = play.made(play.key(small))
    play.drop(small)
    assert play.lose() == [task.seq]
    assert task.extra is not None
    assert task.extra.deps[0][1].data == b"small"
    play.grant_far(FARTHER)
    play.stored(task, FARTHER)
    play.brain.pump(play.now)
    assert set(play.brain.objects.owned) == {task.seq}


def test_small_objects_named_inside_an_argument_are_held_by_the_recipe() -> None:
    play = Lost()
    seq = play.brain.objects.keep(b"small", ())
    task = play.task(play.work_)
    task.pins = ((ME, seq),)
    play.brain.pump(play.now)
    play.grant_far()
    play.stored(task)
    play.brain.objects.drop([(ME, seq)])
    play.brain.pump(play.now)
    assert play.brain.objects.owned[seq].value == b"small"
    play.drop(task)
    play.brain.pump(play.now)
    assert not play.brain.objects.owned


def test_results_that_ride_in_messages_have_no_recipe() -> None:
    play = Lost()
    task = play.task(play.work_)
    play.brain.pump(play.now)
    play.grant_far()
    play.say(m.Results(FAR, [task.seq], [b"small"]))
    assert not play.brain.lineage.recipes
    assert play.lose() == []
    assert play.entry(task).state == READY


@pytest.mark.parametrize(
    ("retries", "attempt", "why"),
    [
        (0, 0, "ObjectReconstructionFailedError: .*max_retries=0, which never runs twice"),
        (2, 2, "ObjectReconstructionFailedMaxAttemptsExceededError: .*has run 3 times"),
    ],
)
def test_a_task_that_may_not_run_again_fails_what_it_made(
    retries: int, attempt: int, why: str
) -> None:
    play = Lost()
    task = play.made(work=play.work(retries=retries, spec=2))
    task.attempt = attempt
    assert play.lose() == []
    error = play.error(play.entry(task))
    assert re.match(why, error), error
    assert "it lost power" in error


def test_without_end_it_runs_as_often_as_it_takes() -> None:
    play = Lost()
    task = play.made(work=play.work(retries=-1, spec=2))
    for node in (2, 3, 4):
        assert play.lose(node) == [task.seq]
        play.grant_far(client_id(node + 1, 1))
        play.stored(task, client_id(node + 1, 1))
    assert task.attempt == 3


def test_what_was_put_is_lost() -> None:
    play = Lost()
    seq = play.brain.objects.store(m.Value(b"", [slot(2)]))
    task = play.made((ME, seq))
    play.lose()
    assert "it was put" in play.error(play.brain.objects.owned[seq])
    assert "it was put" in play.error(play.entry(task)), "as is what is made of it"


def test_large_arguments_that_were_not_kept_are_named() -> None:
    play = Lost()
    value = m.Value(b"", [slot(1, 77)])
    key = (ME, play.brain.objects.store(value, argument=True))
    task = play.task(play.work_)
    task.extra, task.pins = m.Extra(value, key), (key,)
    play.brain.pump(play.now)
    play.grant_far()
    play.stored(task)
    play.lose()
    assert "the arguments of f were too large to be kept" in play.error(play.entry(task))


def test_past_the_bound_the_oldest_recipes_are_forgotten() -> None:
    play = Lost()
    play.brain.lineage.most = 2 * RECIPE_BYTES
    first, second, third = play.made(), play.made(), play.made()
    assert list(play.brain.lineage.recipes) == [second.seq, third.seq]
    assert play.lose() == [second.seq, third.seq]
    error = play.error(play.entry(first))
    assert error.startswith("ObjectReconstructionFailedLineageEvictedError")
    assert "NBRAY_MAX_LINEAGE_BYTES" in error


def test_of_several_returns_only_the_lost_are_taken_again() -> None:
    play = Lost()
    seq = next(play.brain.objects.blocks)
    task = Task(seq, play.work_, b"", 3)
    play.brain.objects.promise(task, seq, 3)
    play.brain.submitted.append(task)
    play.brain.pump(play.now)
    play.grant_far()
    values = [m.Value(b"small"), m.Value(b"", [slot(2, 60)]), m.Value(b"", [slot(2, 61)])]
    play.say(m.Results(FAR, [], [], [m.Outcome(seq, values)]))
    play.say(m.Moved(node_client(3), seq + 2, slot(3, 62)))
    assert play.lose() == [seq]
    play.grant_far(FARTHER)
    again = [m.Value(b"small"), m.Value(b"", [slot(3, 63)]), m.Value(b"", [slot(3, 64)])]
    effects = play.say(m.Results(FARTHER, [], [], [m.Outcome(seq, again)]))
    assert [play.entry(task, place).state for place in range(3)] == [READY, STORED, STORED]
    assert play.entry(task, 1).value.slots == [slot(3, 63)]
    assert play.entry(task, 2).value.slots == [slot(3, 62)]
    assert sent(effects, m.Free) == [m.Free(ME, [slot(3, 64)])]
    assert not play.brain.objects.again


def test_lost_returns_of_a_stream_are_taken_from_its_second_run() -> None:
    play = Lost()
    seq = next(play.brain.tasks.streams.numbers)
    task = StreamTask(seq, play.work_, b"", -1)
    play.brain.objects.promise(task, seq, 1)
    play.brain.submitted.append((play.brain.tasks.add, (task,)))
    play.brain.pump(play.now)
    play.grant_far()
    large = {place: m.Value(b"", [slot(2, 70 + place)]) for place in range(2)}
    play.say(m.Yielded(FAR, seq, 0, [b"", b""], large))
    play.say(m.Results(FAR, [], [], [m.Outcome(seq, [m.Value(b"end")])]))
    assert play.lose() == [seq]
    play.grant_far(FARTHER)
    play.say(m.Yielded(FARTHER, seq, 0, [b""], {0: m.Value(b"", [slot(3, 80)])}))
    assert play.brain.objects.owned[seq + 1].value.slots == [slot(3, 80)]
    play.say(m.Results(FARTHER, [], [], [m.Outcome(seq, [m.Value(b"end")])]))
    play.brain.pump(play.now)
    assert "did not yield it" in play.error(play.brain.objects.owned[seq + 2])


def test_a_call_is_made_again_if_its_actor_allows_it() -> None:
    for retries in (0, 1):
        caller = Caller()
        entry, _ = caller.call(retries)
        caller.told(m.ALIVE, 0, FAR)
        value = m.Value(b"", [slot(2)])
        caller.brain.handle(m.Results(FAR, [], [], [m.Outcome(entry.key[1], [value])]), 1.0)
        caller.brain.pump(1.0)
        assert entry.state == STORED
        caller.told(m.RESTARTING, 1)
        caller.brain.handle(m.NodeLost(NODE, 2, "it lost power"), 1.0)
        caller.brain.pump(1.0)
        calls = caller.told(m.ALIVE, 1, WORKER)
        assert [call.seqs for call in calls] == ([[entry.key[1]]] if retries else [])
        if not retries:
            assert b"max_task_retries=0" in entry.value.data


def test_a_borrower_asks_again_and_its_owner_hears_what_is_missing() -> None:
    play = Lost()
    play.brain.objects.hold([(THIRD, 5)])
    play.brain.pump(play.now)
    entry = play.brain.objects.foreign[THIRD, 5]
    play.brain.objects.ask([entry])
    play.say(m.Located(THIRD, [(5, m.Value(b"", [slot(2)]))]))
    effects = play.say(m.Bounced(ME, [], gone=[((THIRD, 5), [slot(2)])]))
    assert sent(effects, m.CopiesGone, THIRD) == [m.CopiesGone(ME, [(5, [slot(2)])])]
    assert entry.state == PENDING
    assert sent(play.brain.objects.ask([entry]), m.Locate) == [m.Locate(ME, [5])]


def test_an_owner_believes_who_did_not_find_it() -> None:
    play = Lost()
    task = play.made()
    lost = play.entry(task).value.slots
    play.say(m.CopiesGone(WORKER, [(task.seq, lost), (999, lost)]))
    assert play.queued() == [task.seq]
    play.say(m.CopiesGone(WORKER, [(task.seq, lost)]))
    assert task.attempt == 1


def test_a_worker_that_lacks_an_argument_gives_its_task_back_uncharged() -> None:
    play = Lost()
    first = play.made()
    second = play.task(play.work(spec=2), (play.key(first),))
    play.brain.pump(play.now)
    play.grant_far(FARTHER)
    lost = play.entry(first).value.slots
    play.say(m.Bounced(FARTHER, [second.seq], gone=[(play.key(first), lost)]))
    assert (second.missing, second.attempt) == (1, 0)
    assert list(play.brain.tasks.pools.by_worker[FARTHER].inflight) == [first.seq]


def test_a_task_tried_again_waits_for_an_argument_that_went_with_its_node() -> None:
    play = Lost()
    first = play.made()
    second = play.task(play.work(spec=2), (play.key(first),))
    play.brain.pump(play.now)
    play.grant_far(client_id(2, 2))
    assert play.lose() == [first.seq]
    assert (second.missing, second.attempt) == (1, 1)


def test_what_was_stored_on_a_node_that_had_gone_is_lost() -> None:
    play = Lost()
    task = play.task(play.work_)
    play.brain.pump(play.now)
    play.grant_far()
    play.say(m.NodeLost(NODE, 2, "it lost power"))
    play.stored(task)  # its last words
    play.brain.pump(play.now)
    assert play.entry(task).state == PENDING
    assert play.queued() == [task.seq]


def test_a_stopped_cell_stops_what_runs_again() -> None:
    play = Lost()
    task = play.made()
    play.lose()
    assert play.brain.unfinished() == [task]
    play.brain.cancel([task], False)
    play.brain.pump(play.now)
    assert play.error(play.entry(task)).startswith("TaskCancelledError")
    assert not play.brain.objects.again


def test_numbers_of_tasks() -> None:
    assert number_of(7) == 7
    assert number_of(MULTI + MOST_RETURNS + 5) == MULTI + MOST_RETURNS
    assert number_of(STREAMS + MOST_YIELDED + 5) == STREAMS + MOST_YIELDED
