"""Tasks that were ended for want of memory: who is tried again, when, and what is said."""

from __future__ import annotations

import pytest

from nbray.ids import client_id
from nbray.runtime.core.client.memory_retries import MemoryRetries
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.wire import messages as m

WORKER = client_id(1, 5)


def task(seq: int = 1, retries: int = 3) -> Task:
    spec = m.Spec(1, b"f", "grow", 1, b"", "c1", 0, 0, {})
    return Task(seq, Work(spec, retries, None, Tally("c1", 0.0), b""), b"", 1)


def ended(again: bool = True) -> m.Death:
    return m.Death(WORKER, "memory ran low", intended=True, out_of_memory=True, again=again)


KERNEL = m.Death(WORKER, "SIGKILL", out_of_memory=True)


def test_it_costs_no_attempt_and_waits_longer_each_time() -> None:
    retries, one = MemoryRetries(), task()
    pauses = []
    for _ in range(8):
        assert retries.takes(one, ended(), False, 100.0)
        due = retries.next_deadline()
        assert due is not None
        assert retries.ready(due - 0.01) == []
        assert retries.ready(due) == [one]
        pauses.append(due - 100.0)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (one.attempt, retries.free(one)) == (8, 8)
    assert retries.next_deadline() is None


def test_as_often_as_ray_s_variable_says() -> None:
    retries, one = MemoryRetries(), task()
    retries.most = 2
    assert [retries.takes(one, ended(), True, 0.0) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("retries", "death", "charged", "again"),
    [
        (0, ended(), True, False),  # it must not run twice
        (-1, ended(), False, True),
        (3, ended(again=False), True, False),  # it is too large in any company
        (3, KERNEL, True, True),
        (3, KERNEL, False, False),  # its attempts are spent
    ],
)
def test_who_is_tried_again(retries: int, death: m.Death, charged: bool, again: bool) -> None:
    assert MemoryRetries().takes(task(retries=retries), death, charged, 0.0) is again


def test_the_kernel_s_are_charged() -> None:
    retries, one = MemoryRetries(), task()
    retries.takes(one, KERNEL, True, 0.0)
    assert (one.attempt, retries.free(one)) == (1, 0)


def test_who_is_cancelled_meanwhile_does_not_come_back() -> None:
    retries, one = MemoryRetries(), task()
    retries.takes(one, ended(), True, 0.0)
    one.cancelled = True
    assert retries.sentences(0.0, str) == {}
    assert retries.ready(10.0) == []


def test_what_the_bar_says() -> None:
    retries = MemoryRetries()
    for seq in (1, 2):
        retries.takes(task(seq), ended(), True, 0.0)
    (said,) = retries.sentences(0.0, lambda node: f"lab{node}")["c1"]
    assert said.startswith("2 waiting: grow was ended because memory ran low on lab1; ")
    assert said.endswith("it is tried again in 1 s, with less beside it")


def test_what_has_ended_is_forgotten() -> None:
    retries = MemoryRetries()
    for seq in range(300):
        retries.takes(task(seq), ended(), True, 0.0)
        retries.ready(100.0)
    assert len(retries._counts) <= 102
