"""Why work waits, as a driver tells it."""

from __future__ import annotations

import msgspec
import pytest

from nbray.events import NodeView
from nbray.ids import DRIVER_FLAG, HEAD, client_id, node_client
from nbray.runtime.core.client.actor_links import ActorLink
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.task_records import Task, Work
from nbray.wire import messages as m

ME = client_id(1, DRIVER_FLAG | 1)
NODE = node_client(1)
GPU = {"GPU": 10_000}
ACTOR = (ME, 900)


class Play:
    def __init__(self) -> None:
        self.brain = ClientBrain(ME, 1, lambda kind, text, cause=b"": text.encode())
        self.pool = self.brain.tasks.pools.pool(GPU, 0, 0)

    def work(self, cell: str, pool: bool = True) -> Work:
        spec = m.Spec(1, b"f", "f", 1, b"", cell, ME, 0, GPU)
        return Work(spec, 3, self.pool if pool else None, self.brain.tally(cell, 10.0), b"code")

    def task(self, work: Work, dep: m.Ref | None = None) -> Task:
        seq = next(self.brain.objects.numbers)
        task = Task(seq, work, b"", 1)
        if dep is not None:
            task.deps, task.pins = [(0, dep)], (dep,)
        self.brain.objects.promise(task, seq, 1)
        return task

    def submit(self, count: int, cell: str = "c", dep: m.Ref | None = None) -> list[Task]:
        made = [self.task(self.work(cell), dep) for _ in range(count)]
        self.brain.submitted.extend(made)
        self.brain.pump(10.0)
        return made

    def call(self, count: int) -> ActorLink:
        callers = self.brain.actors
        link = callers.links.setdefault(ACTOR, ActorLink(ACTOR, "Counter"))
        for _ in range(count):
            task = self.task(self.work("c", pool=False))
            self.brain.submitted.append((callers.call, ACTOR, "Counter", task))
        self.brain.pump(10.0)
        return link

    def why(self, now: float = 20.0, cell: str = "c") -> tuple[str, ...]:
        return self.brain.cells(now)[cell].waiting


def test_tasks_that_no_node_has_room_for_are_counted_by_cell() -> None:
    play = Play()
    play.submit(3)
    play.submit(1_200, "d")
    assert play.why() == ()
    play.brain.handle(m.Waiting(NODE, play.pool.id, "need 1 GPU; lab has 0 of 2 GPUs free"), 15.0)
    assert play.why() == ("3 waiting: need 1 GPU; lab has 0 of 2 GPUs free",)
    assert play.why(cell="d") == ("1,200 waiting: need 1 GPU; lab has 0 of 2 GPUs free",)
    play.brain.handle(m.Waiting(NODE, play.pool.id, ""), 16.0)
    assert play.why() == ()


@pytest.mark.parametrize("raises", [False, True])
def test_what_no_node_has_is_told_at_once_where_it_may_wait(raises: bool) -> None:
    play = Play()
    told: list[str] = []
    play.brain.tasks.lacking = told.append
    play.submit(2)
    play.pool.raises = raises
    play.brain.handle(m.Infeasible(NODE, play.pool.id, "no node has 9 CPUs"), 15.0)
    assert len(told) == (not raises)
    assert all("no node has 9 CPUs; it waits for a node" in one for one in told)
    assert bool(play.why()) == (not raises)


def test_calls_wait_for_the_restart_of_their_actor_and_say_so_at_once() -> None:
    play = Play()
    play.call(2)
    state = m.ActorState(HEAD, *ACTOR, m.RESTARTING, 1, cause="its worker was killed (SIGKILL)")
    play.brain.handle(state, 10.5)
    assert play.why(10.6) == (
        "2 waiting: Counter is restarting; its worker was killed (SIGKILL)",
    )
    play.brain.handle(m.ActorState(HEAD, *ACTOR, m.ALIVE, 1, client_id(1, 5)), 11.0)
    play.brain.pump(11.0)
    assert play.why(11.0) == ()


def test_an_actor_that_does_not_start_says_what_it_needs_after_a_while() -> None:
    play = Play()
    link = play.call(2)
    assert play.why(12.0) == ()
    assert play.why(16.0) == ("2 waiting: Counter has not started; its __init__ still runs",)
    link.needs = GPU
    view = NodeView(1, "1", "lab", "", resources={"GPU": 2.0}, available={"GPU": 0.0})
    play.brain.handle(m.Picture(HEAD, [view], 1), 16.0)
    (why,) = play.why(16.0)
    assert why == (
        "2 waiting: Counter has not started; its __init__ still runs, or it waits: need 1 GPU; "
        "lab has 0 of 2 GPUs free"
    )


def test_an_actor_of_ours_needs_what_it_was_made_with() -> None:
    play = Play()
    spec = m.ActorSpec(
        *ACTOR, "", "", "Counter", b"", b"", m.Value(), (0, 0), [], GPU, GPU, 0, 1, False, False,
        b"", "", ME,
    )  # fmt: skip
    play.brain.actors.create(Task(ACTOR[1], play.work("c", pool=False), b"", 1), spec)
    play.call(1)
    view = NodeView(1, "1", "lab", "", resources={"GPU": 2.0}, available={"GPU": 0.0})
    play.brain.handle(m.Picture(HEAD, [view], 1), 16.0)
    (why,) = play.why(16.0)
    assert why.endswith("need 1 GPU; lab has 0 of 2 GPUs free")


def test_who_has_been_given_a_worker_does_not_wait() -> None:
    play = Play()
    play.submit(3)
    play.brain.handle(m.Waiting(NODE, play.pool.id, "need 1 GPU"), 15.0)
    play.brain.handle(m.Granted(NODE, play.pool.id, 7, client_id(1, 5)), 16.0)
    assert play.why(16.0) == ()


def test_tasks_whose_arguments_do_not_come_say_so_after_a_while() -> None:
    play = Play()
    (first,) = play.submit(1, "other")
    play.submit(4, dep=(ME, first.seq))
    assert play.why(12.0) == ()
    assert play.why(16.0) == ("4 waiting: need what other tasks have not made yet",)


def test_cells_without_reasons_pay_nothing() -> None:
    play = Play()
    assert play.brain.cells(1.0) == {}
    play.submit(1)
    view = play.brain.cells(11.0)["c"]
    assert msgspec.structs.replace(view, waiting=()) == view


def test_what_was_cancelled_does_not_wait() -> None:
    play = Play()
    gone, *_ = play.submit(3)
    play.brain.handle(m.Waiting(NODE, play.pool.id, "need 1 GPU"), 15.0)
    play.brain.cancel([gone], force=False)
    assert play.why() == ("2 waiting: need 1 GPU",)
