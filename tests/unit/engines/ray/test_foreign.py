"""The books of work that the engine did not submit: whose it is, and what is shown of it."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.engines.ray.foreign import OWN, REMEMBERED, SETTLING, UNSEEN, Foreign
from nbray.engines.ray.states import DONE, FAILED, RUNS, WAITS, ActorSeen, TaskSeen


def task(name: str, does: int = RUNS, **more: Any) -> TaskSeen:
    given: dict[str, Any] = {
        "task": name.encode(), "attempt": 0, "name": name, "function": name, "parent": b"driver",
        "actor": b"", "does": does, "created": 100.0, "began": 101.0 if does else 0.0,
        "ended": 103.0 if does >= DONE else 0.0, "node": "n1" if does else "", "pid": 7,
    }  # fmt: skip
    return TaskSeen(**{**given, **more})


def actor(name: str, **more: Any) -> ActorSeen:
    given: dict[str, Any] = {
        "actor": name.encode(), "class_name": name, "module": "__main__", "name": "",
        "alive": True, "dead": False, "node": "n1", "pid": 8, "failed": False,
    }  # fmt: skip
    return ActorSeen(**{**given, **more})


class Books:
    """The books, and how their view is had."""

    def __init__(self) -> None:
        self.all = Foreign()
        self.all.turn("one", 90.0)

    def look(self, *seen: TaskSeen | ActorSeen, now: float = 104.0) -> None:
        tasks = [one for one in seen if isinstance(one, TaskSeen)]
        self.all.look(tasks, [one for one in seen if isinstance(one, ActorSeen)], now)

    def view(self, cell: str = "one") -> Any:
        return self.all.view(
            cell, 104.0, 1104.0, lambda node: int(node == "n1"), lambda node: node or "?",
            lambda _: 4.0,
        )  # fmt: skip

    def rows(self, cell: str = "one") -> dict[str, tuple[int, int, int, int]]:
        view = self.view(cell)
        rows = view.rows if view is not None else ()
        return {one.name: (one.done, one.running, one.failed, one.cancelled) for one in rows}


@pytest.fixture
def books() -> Books:
    return Books()


def test_a_task_is_counted_once_however_often_it_is_told_of(books):
    books.look(task("f", WAITS))
    assert (books.view().submitted, books.view().queued) == (1, 1)
    books.look(task("f", RUNS))
    assert books.rows() == {"f": (0, 1, 0, 0)}
    for _ in range(2):
        books.look(task("f", DONE))
    view = books.view()
    assert (view.submitted, view.done, view.measured, view.work) == (1, 1, 1, 2.0)
    assert view.finished
    assert (view.started, view.began, view.updated) == (1100.0, 1101.0, 1103.0)


def test_work_belongs_to_the_cell_that_submitted_it(books):
    books.all.turn("two", 95.0)
    books.all.submitted(b"f", "one")  # by a thread of the first cell
    books.look(task("f"), task("inner", parent=b"f"), task("g"), task("old", created=92.0))
    assert books.rows("one") == {"f": (0, 1, 0, 0), "inner": (0, 1, 0, 0), "old": (0, 1, 0, 0)}
    assert books.rows("two") == {"g": (0, 1, 0, 0)}


def test_the_engines_own_work_is_left_out(books):
    books.all.made(b"mine", "one", "", own=True)
    books.look(
        task("add", function=f"add{OWN}"), task("C.more", actor=b"mine"), actor("mine"),
        task("D.more", function="D.call", actor=b"unknown"),
        actor("Warden", module="nbray.engines.ray.warden"), task("Warden.look", actor=b"Warden"),
    )  # fmt: skip
    assert books.view() is None


def test_rays_internal_actors_are_folded_away_and_those_that_run_users_code_are_not(books):
    stats = actor("_StatsActor", module="ray.data._internal.stats")
    worker = actor("MapWorker(MapBatches(Model))", module="ray.data._internal.execution")
    books.look(
        stats, worker, actor("Mine"), task("_StatsActor.record", actor=b"_StatsActor"),
        task("MapWorker.submit", actor=worker.actor), task("Mine.go", actor=b"Mine"),
    )  # fmt: skip
    assert books.rows() == {"MapBatches(Model)": (0, 1, 0, 0), "Mine.go": (0, 1, 0, 0)}


def test_a_trial_is_one_row_and_its_calls_none(books):
    books.all.made(b"T", "one", "train_00001", own=False)
    books.look(actor("T", module="ray.tune", alive=False, pid=0))
    assert books.rows() == {"train_00001": (0, 0, 0, 0)}
    books.look(actor("T", module="ray.tune"), task("T.train", actor=b"T"))
    assert books.rows() == {"train_00001": (0, 1, 0, 0)}
    books.look(actor("T", module="ray.tune", alive=False, dead=True))
    assert books.rows() == {"train_00001": (1, 0, 0, 0)}


def test_a_trial_of_which_a_call_failed_has_failed(books):
    books.all.made(b"T", "one", "train_00001", own=False)
    books.look(actor("T"))
    books.look(task("T.train", FAILED, actor=b"T"))
    books.look(actor("T", alive=False, dead=True))
    assert books.rows() == {"train_00001": (0, 0, 1, 0)}


def test_a_replica_of_serve_counts_when_it_has_started(books):
    replica = actor("ServeReplica:hi:Hello", module="ray.serve._private.replica", alive=False)
    books.look(replica)
    assert not books.view().finished
    books.look(actor("ServeReplica:hi:Hello", module="ray.serve._private.replica"))
    assert books.rows() == {"Hello (hi)": (1, 0, 0, 0)}
    assert books.view().finished


def test_a_failed_attempt_may_be_followed_by_another(books):
    books.look(task("f", FAILED), now=104.0)
    assert not books.view().finished
    books.look(task("f", RUNS, attempt=1), now=104.5)
    books.look(task("f", FAILED), task("f", DONE, attempt=1), now=110.0)
    assert books.rows() == {"f": (1, 0, 0, 0)}
    books.look(task("g", FAILED), now=110.0)
    books.look(task("g", FAILED), now=110.0 + SETTLING)
    assert books.rows()["g"] == (0, 0, 1, 0)


def test_an_end_waits_for_who_can_say_where_and_when_it_ran(books):
    books.look(task("f", DONE, began=0.0, node=""), now=104.0)
    assert not books.view().finished
    books.look(task("f", DONE), now=104.4)
    assert (books.view().measured, books.view().nodes[0].done) == (1, 1)
    books.look(task("g", DONE, began=0.0, node=""), now=105.0)
    books.look(task("g", DONE, began=0.0, node=""), now=105.0 + SETTLING)
    assert books.view().finished and books.view().done == 2


def test_what_a_stop_has_ended_was_cancelled(books):
    books.all.made(b"T", "one", "train_00001", own=False)
    books.look(actor("T"), task("f", RUNS), task("g", RUNS))
    books.all.stopped |= {b"T", b"f", b"g"}
    books.look(
        actor("T", alive=False, dead=True), task("f", FAILED, cancelled=True), task("g", DONE)
    )
    assert books.rows() == {
        "train_00001": (0, 0, 0, 1), "f": (0, 0, 0, 1), "g": (1, 0, 0, 0)
    }  # fmt: skip
    assert (books.view().cancelled, books.view().failed) == (2, 2)


def test_what_ray_tells_no_more_of_is_forgotten(books):
    books.look(task("f"), now=104.0)
    books.look(now=104.0 + UNSEEN + 1)
    assert books.view() is None
    assert not books.all.busy()


def test_calls_of_another_drivers_actor_are_asked_about_first(books):
    call = task("Controller.deploy", actor=b"C")
    books.look(call)
    assert books.all.unknown == {b"C"}
    books.look(call, actor("C", class_name="ServeController", module="ray.serve._private"))
    assert books.view() is None
    assert not books.all.unknown


def test_it_remembers_no_more_than_it_needs(books):
    for number in range(REMEMBERED + 5):
        books.all.submitted(str(number).encode(), "one")
    assert len(books.all._of_tasks) == REMEMBERED
