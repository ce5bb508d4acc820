"""Named jobs, on every engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api import ray
from harness import eventually

from nbray import jobs
from nbray.exceptions import GetTimeoutError, TaskCancelledError
from nbray.jobs.keeper import Part, Plan
from nbray.options import TaskOptions

pytestmark = pytest.mark.own


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    for name in jobs.names():
        jobs.find(name).forget()
    deadline = time.monotonic() + 60
    while jobs.names() and time.monotonic() < deadline:
        time.sleep(0.01)


def plan(call: Callable[..., Any], *calls: tuple[Any, ...], several: bool = False,
         name: str = "train") -> Plan:  # fmt: skip
    return Plan(name, "fit()", [Part(call, TaskOptions(), list(calls))], (), several)


def test_a_result_by_name() -> None:
    jobs.launch(plan(lambda x: (x + 1, {}), (41,)))
    assert ray.fetch("train") == 42
    assert ray.fetch("train") == 42  # until it is forgotten
    assert jobs.names() == ["train"]
    (record,) = jobs.records()
    assert (record.name, record.state, record.line, record.fetched) == (
        "train", "done", "fit()", True,
    )
    assert (record.view.submitted, record.view.done) == (1, 1)


def test_several_results_are_a_list_and_large_values_follow_the_arguments() -> None:
    big = ray.put(list(range(100_000)))
    jobs.launch(plan(lambda i, values: (values[i], {}), (7,), (9,), several=True), [big])
    assert ray.fetch("train") == [7, 9]


def test_outputs_are_fetched_where_the_cell_shows_nothing() -> None:
    made = Plan("train", "x = 1", [Part(lambda: (None, {"x": 1}), TaskOptions(), [()])], ("x",))
    jobs.launch(made)
    assert ray.fetch("train") == 1


def test_the_jobs_error_is_raised() -> None:
    def bad() -> Any:
        raise KeyError("lost")

    jobs.launch(plan(bad, ()))
    with pytest.raises(KeyError, match="lost"):
        ray.fetch("train")
    assert jobs.records()[0].state == "failed"


@pytest.mark.concurrent
def test_who_stops_a_launch_is_not_kept_by_a_keeper_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Deaf:
        def launch(self, *_: Any) -> None:
            time.sleep(600)

        forget = launch

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "Keeper", Deaf)
    monkeypatch.setattr(jobs, "_ask", stopped)
    with pytest.raises(KeyboardInterrupt):
        jobs.launch(plan(lambda: (1, {}), ()))
    assert eventually(lambda: not jobs.names())


def test_a_name_that_nobody_has() -> None:
    jobs.launch(plan(lambda: (1, {}), ()))
    with pytest.raises(ValueError, match="no job is called 'trian': there are train"):
        ray.fetch("trian")
    with pytest.raises(ValueError, match="timeout must be at least 0"):
        ray.fetch("train", timeout=-1)


def test_a_name_is_free_again_once_its_result_was_fetched() -> None:
    jobs.launch(plan(lambda: (1, {}), ()))
    while not jobs.find("train").record().ended:
        time.sleep(0.01)
    with pytest.raises(ValueError, match="a result that nobody has fetched"):
        jobs.launch(plan(lambda: (2, {}), ()))
    assert ray.fetch("train") == 1
    jobs.launch(plan(lambda: (2, {}), ()))
    assert ray.fetch("train") == 2


@pytest.mark.concurrent
def test_what_runs_can_be_waited_for_and_stopped() -> None:
    jobs.launch(plan(lambda: (time.sleep(600), {}), ()))
    with pytest.raises(GetTimeoutError, match=r"the job train .*after its start: fit\(\)"):
        ray.fetch("train", timeout=0.1)
    with pytest.raises(ValueError, match="runs already"):
        jobs.launch(plan(lambda: (1, {}), ()))
    assert jobs.find("train").stop() == 1
    with pytest.raises(TaskCancelledError):
        ray.fetch("train")
    assert jobs.find("train").record().state == "stopped"
    assert jobs.find("train").stop() == 0


@pytest.mark.concurrent
def test_what_a_job_prints_is_kept_and_is_nobody_elses(capfd: pytest.CaptureFixture[str]) -> None:
    def talk(i: int) -> Any:
        print("line", i)
        return i, {}

    jobs.launch(plan(talk, *((i,) for i in range(50)), several=True))
    while not jobs.find("train").record().ended:
        time.sleep(0.01)
    assert capfd.readouterr().out == ""
    assert ray.fetch("train", timeout=60) == list(range(50))
    assert sorted(capfd.readouterr().out.splitlines()) == sorted(f"line {i}" for i in range(50))


@pytest.mark.concurrent
def test_asking_is_not_counted_as_work() -> None:
    jobs.launch(plan(lambda: (1, {}), ()))
    ray.fetch("train")
    from nbray import session

    token = session.cell.set("asking")
    try:
        jobs.records()
        ray.fetch("train")
        assert session.require().cells.view("asking") is None
    finally:
        session.cell.reset(token)
