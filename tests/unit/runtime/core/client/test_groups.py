"""Placement groups as their users see them: what is queued, what is ready, why one waits."""

from __future__ import annotations

from client_play import CPU, ME, Play, sent

from nbray.ids import HEAD
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.client.waiters import Group
from nbray.runtime.core.placement import in_group
from nbray.wire import messages as m

GROUP = f"{ME:016x}{12:012x}{7:08x}"


class Grouped(Play):
    """A driver that follows one group."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = self.brain.groups

    def ready(self, raises: bool = False) -> m.Ref:
        seq = next(self.brain.objects.numbers)
        self.brain.objects.promise(None, seq, 1)
        self.groups.ready(GROUP, seq, b"it", raises)
        return ME, seq

    def queue(self, raises: bool = False) -> Task:
        work = self.work()
        pools = self.brain.tasks.pools
        pool = pools.pool(in_group(CPU, GROUP), 0, 0, raises=raises, group=GROUP)
        task = self.task(Work(work.spec, 3, pool, work.tally, b"code"))
        self.brain.submitted.append((self.groups.follow, GROUP))
        self.brain.pump(self.now)
        return task

    def told(self, state: int, why: str = "", never: bool = False) -> None:
        self.say(m.GroupState(HEAD, GROUP, state, why, never))

    def value(self, ref: m.Ref) -> bytes:
        value = self.brain.objects.owned[ref[1]].value
        return value.data if isinstance(value, m.Value) else value


def test_what_is_ready_has_its_value_when_the_group_is_placed() -> None:
    play = Grouped()
    ref = play.ready()
    play.told(m.PLACED)
    assert play.value(ref) == b"it"
    assert play.value(play.ready()) == b"it"


def test_who_removes_it_need_not_wait_for_the_head() -> None:
    play = Grouped()
    ref, task = play.ready(), play.queue()
    effects = play.groups.remove(GROUP)
    assert [one.id for one in sent(effects, m.RemoveGroup, HEAD)] == [GROUP]
    for one in (ref, (ME, task.seq), play.ready()):
        assert play.value(one).startswith(b"TaskPlacementGroupRemoved")
    play.told(m.PLACED)  # it crossed the removal
    assert play.value(play.ready()).startswith(b"TaskPlacementGroupRemoved")


def test_what_is_queued_for_one_that_has_ended_fails_also_in_another_shape() -> None:
    play = Grouped()
    play.groups.follow(GROUP)
    play.told(m.REMOVED)
    assert play.value((ME, play.queue().seq)).startswith(b"TaskPlacementGroupRemoved")
    assert not play.brain.tasks.pools.of_group(GROUP), "nothing is remembered of its shapes"
    assert play.value((ME, play.queue().seq)).startswith(b"TaskPlacementGroupRemoved")


def test_what_is_waited_for_says_why_and_what_was_dropped_is_forgotten() -> None:
    play = Grouped()
    ref = play.ready()
    play.told(m.WAITING, "0 of 1 bundle placed; need 1 CPU")
    assert play.brain.awaited() == []
    said = ["waiting for placement group #12: 0 of 1 bundle placed; need 1 CPU"]
    assert play.brain.awaited(False) == said
    play.brain.objects.owned[ref[1]].put_waiter(Group(1, lambda: None))
    assert play.brain.awaited() == said
    for _ in range(5):
        play.brain.objects.dropped.append(play.ready())
        play.brain.pump(play.now)
    assert len(play.groups.known[GROUP].ready) <= 2
    play.told(m.PLACED)
    assert play.brain.awaited(False) == []


def test_who_does_not_wait_for_nodes_hears_at_once_that_none_can_hold_it() -> None:
    play = Grouped()
    ref, task, patient = play.ready(raises=True), play.queue(raises=True), play.queue()
    play.told(m.WAITING, "0 of 1 bundle placed; need 1 CPU")
    assert play.value(ref) != b"it"
    assert not play.brain.tasks.pools.of_group(GROUP)[0].infeasible, "it is only busy"
    play.told(m.WAITING, "no node has 9 CPUs", never=True)
    for one in (ref, (ME, task.seq), (ME, play.queue(raises=True).seq), play.ready()):
        assert play.value(one).startswith(b"TaskUnschedulableError")
        assert b"no node can hold placement group #12: no node has 9 CPUs" in play.value(one)
    assert patient.seq in play.brain.objects.owned
    assert not isinstance(play.value((ME, patient.seq)), bytes)
    play.told(m.PLACED)  # one has come that can
    assert play.value(play.ready()) == b"it"
    assert not any(pool.infeasible for pool in play.brain.tasks.pools.of_group(GROUP))
