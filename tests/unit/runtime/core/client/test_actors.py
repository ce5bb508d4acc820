"""Calls of an actor that wait at their caller: which of them go, and in which order."""

from __future__ import annotations

import pytest
from client_play import KEY, ME, Caller, sent

from nbray.ids import client_id
from nbray.runtime.core.client import actors
from nbray.runtime.core.client.actors import ALIVE, RESTARTING
from nbray.runtime.core.client.objects.objects import FAILED, Entry
from nbray.runtime.core.client.task_records import Task
from nbray.wire import messages as m

FIRST, SECOND = client_id(1, 2), client_id(1, 3)


class Waiting(Caller):
    """An actor that does not live yet."""

    def argument(self) -> int:
        """The number of an object that is not ready."""
        seq = next(self.brain.objects.numbers)
        self.brain.objects.owned[seq] = Entry((ME, seq), 1)
        return seq

    def ready(self, seq: int, failed: bool = False) -> list[m.Calls]:
        value = m.Value(b"an error", failed=True) if failed else m.Value(b"1")
        effects = self.brain.objects.resolve(self.brain.objects.owned[seq], value)
        return sent([*effects, *self.brain.pump(1.0)], m.Calls)

    def lives(self) -> list[int]:
        return self.seqs(self.told(ALIVE, 0, FIRST))

    @staticmethod
    def seqs(calls: list[m.Calls]) -> list[int]:
        assert [one.order for one in calls] == sorted(one.order for one in calls)
        return [seq for one in calls for seq in one.seqs]

    def cancel(self, entry: Entry) -> None:
        assert isinstance(entry.maker, Task)
        self.brain.cancel([entry.maker], force=False)


@pytest.fixture
def caller() -> Waiting:
    return Waiting()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_call_that_was_cancelled_while_it_waited_holds_back_no_other(
    caller: Waiting, which: int
) -> None:
    entries = [caller.call()[0] for _ in range(3)]
    caller.cancel(entries[which])
    assert entries[which].value.data.startswith(b"TaskCancelledError")
    left = [entry.key[1] for entry in entries if entry is not entries[which]]
    assert caller.lives() == left


def test_a_call_waits_for_its_argument_and_those_behind_it_wait_for_it(caller: Waiting) -> None:
    argument = caller.argument()
    entries = [caller.call()[0], caller.call(0, (ME, argument))[0], caller.call()[0]]
    first, *others = [entry.key[1] for entry in entries]
    assert caller.lives() == [first]
    assert caller.seqs(caller.ready(argument)) == others


@pytest.mark.parametrize("lives", [False, True])
def test_a_call_whose_argument_failed_fails_and_those_behind_it_go(
    caller: Waiting, lives: bool
) -> None:
    argument = caller.argument()
    entries = [caller.call()[0], caller.call(0, (ME, argument))[0], caller.call()[0]]
    first, _, last = [entry.key[1] for entry in entries]
    went = caller.lives() if lives else []
    went += caller.seqs(caller.ready(argument, failed=True))
    went += [] if lives else caller.lives()
    assert went == [first, last]
    assert (entries[1].state, entries[1].value.data) == (FAILED, b"RayTaskError: addan error")


def test_of_those_under_way_at_a_death_each_is_judged_by_itself(caller: Waiting) -> None:
    """Those that may run again do so in their order, before what was called later."""
    entries = [caller.call(retries)[0] for retries in (1, 0, 1)]
    assert len(caller.lives()) == 3
    caller.told(RESTARTING, 0)
    late, _ = caller.call(1)
    again = [entries[0].key[1], entries[2].key[1], late.key[1]]
    assert caller.seqs(caller.told(ALIVE, 1, SECOND)) == again
    assert entries[1].value.data.startswith(b"ActorUnavailableError")
    assert KEY in caller.brain.actors.links


@pytest.mark.parametrize(("retries", "goes"), [(0, 0), (1, 1), (2, 2), (-1, 3)])
def test_a_call_whose_exception_is_to_be_retried_goes_again_as_often_as_it_may(
    caller: Waiting, retries: int, goes: int
) -> None:
    entry, _ = caller.call(retries)
    seq = entry.key[1]
    caller.lives()
    attempts = []
    for _ in range(3):
        outcome = m.Outcome(seq, [m.Value(b"raised", failed=True)], True, True)
        effects = caller.brain.handle(m.Results(FIRST, [], [], [outcome]), 1.0)
        calls = sent([*effects, *caller.brain.pump(1.0)], m.Calls)
        attempts += [one.extras[0].attempt for one in calls]
    assert attempts == list(range(1, goes + 1))
    assert (entry.state == FAILED) is (goes < 3)


@pytest.mark.parametrize(
    ("ends", "no_restart", "expendable", "cancelled"),
    [(True, True, True, 2), (True, True, False, 0), (True, False, True, 0), (False, True, True, 0)],
)
def test_what_a_pool_leaves_undone_is_cancelled_where_it_ends_the_actor_itself(
    caller: Waiting, ends: bool, no_restart: bool, expendable: bool, cancelled: int
) -> None:
    entries = [caller.call()[0]]
    caller.lives()
    caller.brain.actors.links[KEY].state = actors.PENDING
    entries.append(caller.call()[0])  # one there, one still here
    tallies = []
    for entry in entries:
        assert isinstance(entry.maker, Task)
        entry.maker.work.expendable = expendable
        tallies.append(entry.maker.work.tally)
    if ends:
        caller.brain.actors.end(KEY, no_restart, "it was killed")
    caller.told(actors.DEAD, 0)
    assert [entry.value.data.split(b":")[0] for entry in entries] == [b"ActorDiedError"] * 2
    assert sum(sum(tally.cancelled.values()) for tally in tallies) == cancelled
    assert sum(sum(tally.failed.values()) for tally in tallies) == 2 - cancelled


def test_a_call_that_was_cancelled_is_not_retried(caller: Waiting) -> None:
    entry, _ = caller.call(3)
    caller.lives()
    caller.cancel(entry)
    outcome = m.Outcome(entry.key[1], [m.Value(b"raised", failed=True)], True, True)
    effects = caller.brain.handle(m.Results(FIRST, [], [], [outcome]), 1.0)
    assert sent([*effects, *caller.brain.pump(1.0)], m.Calls) == []
    assert entry.state == FAILED


def test_no_more_calls_are_under_way_than_there_may_be(
    caller: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "CALLS_AHEAD", 1500)
    for _ in range(2500):
        caller.call()
    seqs = caller.lives()
    assert len(seqs) == 2000, "messages of a thousand, until enough are under way"
    more = sent(caller.brain.handle(m.Results(FIRST, seqs[:400], [b"1"] * 400), 1.0), m.Calls)
    more += sent(caller.brain.pump(1.0), m.Calls)
    assert more == []
    caller.brain.handle(m.Results(FIRST, seqs[400:501], [b"1"] * 101), 1.0)
    assert [len(one.seqs) for one in sent(caller.brain.pump(1.0), m.Calls)] == [500]
