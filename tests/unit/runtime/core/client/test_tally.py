"""A cell's counts and times, in integers."""

from __future__ import annotations

from nbray.ids import client_id
from nbray.runtime.core.client.tally import Tally
from nbray.wire.messages import Counted

A, B, OTHER = client_id(1, 10), client_id(1, 11), client_id(2, 10)


def view(tally: Tally, now: float = 50.0):
    return tally.view({}, lambda number: f"host{number}", now)


def test_times_are_summed_once_a_batch() -> None:
    tally = Tally("c", 1.0)
    tally.submitted = 30
    tally.done = {1: 20, 2: 10}
    tally.measure(A, 10, 4_000_000, 900_000, 3_000_000, 2.0)
    tally.measure(B, 10, 2_000_000, 300_000, 1_000_000, 3.0)
    tally.measure(OTHER, 10, 5_000_000, 1_500_000, 0, 4.0)
    made = view(tally)
    assert [(node.name, node.work) for node in made.nodes] == [("host1", 6.0), ("host2", 5.0)]
    assert (made.work, made.cpu, made.measured, made.workers) == (11.0, 4.0, 30, 3)
    assert (made.longest, made.longest_node, made.longest_end) == (1.5, "host2", 4.0)
    assert (made.started, made.updated) == (1.0, 4.0)


def test_it_is_known_when_the_first_task_began() -> None:
    tally = Tally("c", 1.0)
    tally.submitted = 3
    assert view(tally).began == 0.0
    tally.measure(A, 1, 500_000, 500_000, 0, 10.0)
    tally.measure(B, 1, 4_000_000, 4_000_000, 0, 12.0)  # longer, and begun before
    tally.measure(A, 1, 500_000, 500_000, 0, 12.5)
    assert view(tally).began == 8.0


def test_the_last_end_counts_only_when_all_has_ended() -> None:
    tally = Tally("c", 1.0)
    tally.submitted = 2
    tally.done[1] = 1
    tally.measure(A, 1, 10, 10, 0, 2.0)
    assert view(tally, 9.0).updated == 9.0
    tally.end(0, failed=True)  # it never ran, so nobody measured when
    assert view(tally, 9.0).updated == 9.0


def test_the_time_of_chunks_goes_to_their_cell_and_their_items_are_counted() -> None:
    tally = Tally("c", 1.0)
    hidden = Tally("c", 1.0, into=tally)
    tally.add(1_000, 0, 0, 0, 0)
    hidden.submitted = 4
    hidden.measure(A, 4, 2_000_000, 700_000, 500_000, 3.0)
    tally.add(0, 1, 990, 10, 0)
    made = view(tally)
    assert (made.submitted, made.done, made.failed, made.items) == (1_000, 990, 10, 1_000)
    assert (made.work, made.cpu, made.measured, made.workers) == (2.0, 0.5, 1_000, 1)
    assert made.longest == 0.0
    assert hidden.work == {}


def test_nothing_is_made_up_of_a_node_of_which_nothing_is_known() -> None:
    tally = Tally("c", 1.0)
    tally.submitted = 2
    tally.done, tally.failed = {1: 1}, {2: 1}
    tally.measure(A, 1, 4_000_000, 4_000_000, 0, 9.0)
    made = tally.view({}, lambda number: f"host{number}", 9.0, cpus={1: 4.0})
    assert [(node.name, node.work) for node in made.nodes] == [("host1", 4.0), ("host2", 0.0)]
    assert made.cpus == 4.0


def counted(submitted: int, done: int, failed: int = 0, running: int = 0, at: int = 2) -> Counted:
    return Counted(A, "c", submitted, {at: done}, {at: failed}, {}, {at: running}, 1_000_000)


def test_what_its_tasks_launched_is_in_the_cells_counts() -> None:
    tally = Tally("c", 1.0)
    tally.submitted = 2
    tally.nested[A] = counted(10, 4, 1, 3)
    tally.nested[B] = counted(5, 5)
    made = tally.view({1: 2}, lambda number: f"host{number}", 9.0)
    assert (made.submitted, made.nested, made.done, made.failed, made.running) == (17, 15, 9, 1, 5)
    assert [(node.name, node.done, node.running) for node in made.nodes] == [
        ("host1", 0, 2), ("host2", 9, 3),
    ]  # fmt: skip
    assert made.cpu == 2.0
    assert not made.finished


def test_what_a_lost_process_had_launched_has_failed() -> None:
    tally = Tally("c", 1.0)
    tally.submitted = 1
    tally.end(1, failed=True)
    tally.nested[A] = counted(10, 4, 1, 3)
    tally.lost(A)
    tally.lost(B)
    made = view(tally)
    assert made.finished
    assert (made.done, made.failed, made.lost, made.running) == (4, 7, 5, 0)


def test_a_cell_whose_work_is_over_is_drawn_up_once() -> None:
    tally = Tally("c", 1.0)
    tally.submitted = 2
    tally.done[1] = 1
    tally.measure(A, 1, 10, 10, 0, 2.0)
    assert view(tally, 9.0) is not view(tally, 9.0), "work is left"
    tally.done[1] = 2
    tally.measure(A, 1, 10, 10, 0, 3.0)
    first = view(tally, 9.0)
    assert view(tally, 10.0) is first
    assert (first.done, first.updated) == (2, 3.0)
    assert tally.view({1: 1}, lambda number: f"host{number}", 10.0) is not first
    assert tally.view({}, lambda number: f"host · {number}", 10.0).nodes[0].name == "host · 1"


def test_nothing_old_is_shown_of_a_cell_that_goes_on() -> None:
    tally = Tally("c", 1.0)
    tally.submitted = 1
    tally.done[1] = 1
    tally.measure(A, 1, 10, 10, 0, 3.0)
    assert view(tally).done == 1
    tally.nested[A] = counted(2, 1, running=1)  # at the same moment
    assert view(tally).done == 2
    tally.nested[A] = counted(2, 2)
    assert view(tally).done == 3
    tally.nested[B] = counted(1, 1)
    assert view(tally).done == 4
    tally.submitted = 2
    assert view(tally).submitted == 5
    tally.done[1] = 2
    tally.add(3, 1, 3, 0, 0)
    assert (view(tally).done, view(tally).submitted) == (8, 8)


def test_the_time_of_a_cell_whose_last_task_failed_stands_still() -> None:
    tally = Tally("c", 10.0)
    tally.submitted = 1
    tally.end(0, failed=True)
    first = tally.view({}, str, 13.4)
    assert first.updated == 13.4
    assert tally.view({}, str, 400.0).updated == 13.4


def test_waiting_for_a_cpu_and_for_data_is_told_apart_from_work() -> None:
    tally = Tally("c", 1.0)
    tally.submitted, tally.done = 2, {1: 2}
    for held, moved in ((1_500_000, 250_000), (500_000, 0)):
        tally.measure(A, 1, 3_000_000, 3_000_000, 0, 9.0, held, moved)
    made = view(tally)
    assert (made.work, made.held, made.moved) == (6.0, 2.0, 0.25)
