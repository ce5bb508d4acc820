"""Tasks on their way to workers: none is forgotten because of another."""

from __future__ import annotations

import pytest
from client_play import ME, NODE, OTHER, WORKER, Play, sent

from nbray.config import LEASE_LINGER
from nbray.ids import client_id
from nbray.runtime.core.client.objects.objects import Entry
from nbray.runtime.core.client.task_records import Work
from nbray.runtime.core.effects import Effect
from nbray.wire import messages as m

THIRD = client_id(1, 9)


def went(effects: list[Effect], to: int = WORKER) -> list[list[int]]:
    return [message.seqs for message in sent(effects, m.Tasks, to)]


def short(play: Play, retries: int = 3, spec: int = 1) -> Work:
    work = play.work(retries=retries, spec=spec)
    work.estimate = 1e-5
    return work


def test_one_that_waits_for_its_argument_holds_up_none_of_its_batch() -> None:
    play = Play()
    play.brain.objects.owned[90] = Entry((ME, 90), 1)
    play.task(play.work(), deps=((ME, 90),))
    ready = play.task(play.work())
    play.brain.pump(play.now)
    assert went(play.grant()) == [[ready.seq]]


def test_what_must_not_run_twice_waits_for_a_worker_that_runs_nothing() -> None:
    play = Play()
    often = [play.task(short(play)) for _ in range(2)]
    once = play.task(short(play, retries=0, spec=2))
    play.brain.pump(play.now)
    assert went(play.grant()) == [[often[0].seq], [often[1].seq]]
    assert went(play.say(m.Results(WORKER, [often[0].seq], [b"1"]))) == []
    assert went(play.say(m.Results(WORKER, [often[1].seq], [b"1"]))) == [[once.seq]]


def test_a_worker_that_is_not_to_be_shared_hides_none_with_room() -> None:
    play = Play()
    work = short(play)
    play.task(short(play, retries=0, spec=2))
    play.brain.pump(play.now)
    play.grant()
    play.task(work)
    play.brain.pump(play.now)
    play.grant(OTHER, 8)
    more = play.task(work)
    effects = play.brain.pump(play.now)
    assert went(effects) == []
    assert went(effects, OTHER) == [[more.seq]]


def test_workers_that_are_full_hide_none_with_room() -> None:
    play = Play()
    work = play.work()
    play.task(work)
    play.brain.pump(play.now)
    play.grant()  # of unknown length: it gets no other
    more = [play.task(work) for _ in range(2)]
    play.brain.pump(play.now)
    effects = play.grant(OTHER, 8)
    assert (went(effects), went(effects, OTHER)) == ([], [[more[0].seq]])
    assert went(play.grant(THIRD, 9), THIRD) == [[more[1].seq]]


def test_idle_workers_go_back_though_another_kind_of_work_waits() -> None:
    play = Play()
    long = play.work("long", spec=2)
    long.pool = play.brain.tasks.pools.pool({"GPU": 10_000}, 0, 0)
    play.task(long)
    task = play.task(play.work())
    play.brain.pump(play.now)
    play.grant()
    play.say(m.Results(WORKER, [task.seq], [b"1"]))
    play.now += LEASE_LINGER
    assert [one.lease for one in sent(play.brain.tick(play.now), m.Returned)] == [7]


def test_one_that_was_cancelled_meanwhile_holds_up_none_whose_argument_came_with_it() -> None:
    play = Play()
    play.brain.objects.owned[90] = entry = Entry((ME, 90), 1)
    cancelled, kept = [play.task(play.work(), deps=((ME, 90),)) for _ in range(2)]
    play.brain.pump(play.now)
    play.brain.cancel([cancelled], force=False)
    play.brain.objects.resolve(entry, m.Value(b"1"))
    (demand,) = sent(play.brain.pump(play.now), m.Demand)
    assert demand.count == 1
    assert went(play.grant()) == [[kept.seq]]


def test_answers_to_what_is_over_hide_no_other() -> None:
    """To what is gone, and to what has been answered already."""
    play = Play()
    over, task = [play.task(short(play)) for _ in range(2)]
    play.brain.pump(play.now)
    play.grant()
    play.say(m.Results(WORKER, [over.seq], [b"0"]))
    play.say(m.Results(WORKER, [777, over.seq, task.seq], [b"?", b"?", b"1"]))
    values = [play.brain.objects.owned[one.seq].value for one in (over, task)]
    assert values == [b"0", b"1"]
    assert play.brain.tasks.unfinished == 0


def test_a_return_that_nobody_wants_any_more_hides_none_behind_it() -> None:
    play = Play()
    task = play.task(play.work())
    task.returns = 3
    for further in (1, 2):
        play.brain.objects.promise(task, task.seq + further, 1)
    play.brain.pump(play.now)
    play.grant()
    play.say(m.Early(WORKER, task.seq + 1, m.Value(b"early")))
    play.brain.objects.drop([(ME, task.seq + 1)])
    play.brain.pump(play.now)
    values = [m.Value(b"0"), m.Value(b"1"), m.Value(b"2")]
    play.say(m.Results(WORKER, [], [], [m.Outcome(task.seq, values)]))
    owned = play.brain.objects.owned
    assert {seq: owned[seq].value for seq in owned} == {task.seq: b"0", task.seq + 2: b"2"}


def test_what_was_submitted_first_is_taken_first() -> None:
    play = Play()
    seen: list[int] = []

    def look() -> list[Effect]:
        seen.append(play.brain.tasks.unfinished)
        return []

    for _ in range(2):
        play.task(play.work())
        play.brain.submitted.append((look,))
    play.brain.pump(play.now)
    assert seen == [1, 2]


def test_what_a_result_contains_is_let_go_when_its_receiver_has_died() -> None:
    """Nobody else will say that he has borrowed it."""
    play = Play()
    objects = play.brain.objects
    kept = objects.keep(b"1", ())
    objects.lend(OTHER, -1, ((ME, kept),))  # it is held for whoever has the result
    for client in (THIRD, OTHER):
        assert kept in objects.owned
        play.say(m.Died(NODE, [m.Death(client, "it was killed")]))
    assert kept not in objects.owned
    assert not objects.in_use


@pytest.mark.parametrize(("worker", "more"), [(WORKER, False), (client_id(2, 3), True)])
def test_a_worker_of_another_node_has_more_queued(worker: int, more: bool) -> None:
    """A message to it takes longer."""
    play = Play()
    work = short(play)
    work.estimate = 1e-3
    here, there = work.ahead(remote=False), work.ahead(remote=True)
    assert here < there
    for _ in range(there):
        play.task(work)
    play.brain.pump(play.now)
    (seqs,) = went(play.grant(worker), worker)
    assert len(seqs) == (there if more else here)
