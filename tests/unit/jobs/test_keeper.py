"""A job's keeper, in this process on the inline engine. (Its life: tests/contract, tests/e2e.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import nbray
from nbray import session
from nbray.jobs.keeper import Keeper, Part, Plan
from nbray.options import TaskOptions


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    nbray.shutdown()
    nbray.init(engine="inline", num_cpus=2)
    made = Keeper()
    yield made
    made.forget()
    nbray.shutdown()


def test_it_owns_what_it_was_given(keeper: Keeper) -> None:
    plan = Plan("a", "x", [Part(lambda i, big: (big[i], {}), TaskOptions(), [(0,), (1,)])])
    assert keeper.launch(plan, [5, 6]) is False
    refs, outputs, several = keeper.result()
    assert nbray.get(refs) == [(5, {}), (6, {})]
    assert (outputs, several) == ((), False)
    news = keeper.news()
    assert (news.record.state, news.record.fetched, news.more) == ("done", False, False)
    assert keeper.news(-1).events == []
    assert keeper.stop() == 0
    keeper.was_fetched()
    assert keeper.news().record.fetched


def test_no_tasks_are_a_job_that_is_done(keeper: Keeper) -> None:
    keeper.launch(Plan("none", "x", [], several=True))
    assert keeper.news().record.state == "done"
    assert keeper.result()[0] == []


def test_one_that_comes_back_without_its_tasks_says_so(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = msgspec.structs.replace(
        session.require().context.runtime(), session_dir=str(tmp_path), actor_id="a1"
    )
    monkeypatch.setattr(session.require().context, "runtime", lambda: where)
    first = Keeper()
    first.launch(Plan("train", "fit()", [Part(lambda: (1, {}), TaskOptions(), [()])]))
    again = Keeper()  # the same actor, in another process
    record = again.news().record
    assert (record.name, record.line, record.state) == ("train", "fit()", "lost")
    assert record.ended
    assert again.stop() == 0
    again.forget()
    assert list((tmp_path / "jobs").iterdir()) == []
