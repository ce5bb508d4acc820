"""Which cell a thread works for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from nbray import session
from nbray.patches import threads


@pytest.fixture
def cell() -> Iterator[str]:
    token = session.cell.set("cell 7")
    threads.follow(pools=True)
    yield "cell 7"
    threads.leave()
    session.cell.reset(token)


class Own(threading.Thread):
    """A thread as people write them, with a `run` of its own."""

    seen = ""

    def run(self) -> None:
        self.seen = session.cell.get()


def seen_by(make: type[threading.Thread] = threading.Thread, **more: str) -> str:
    seen: list[str] = []
    thread = make(target=lambda: seen.append(session.cell.get()), **more)  # type: ignore[arg-type]
    thread.start()
    thread.join(60)
    return seen[0]


def test_a_thread_works_for_the_cell_that_started_it(cell: str) -> None:
    assert seen_by() == cell
    own = Own()
    own.start()
    own.join(60)
    assert own.seen == cell
    assert "run" not in own.__dict__
    session.cell.set("another")
    assert seen_by() == "another"


def test_so_do_the_threads_that_it_starts(cell: str) -> None:
    seen: list[str] = []

    def outer() -> None:
        seen.append(seen_by())

    thread = threading.Thread(target=outer)
    thread.start()
    thread.join(60)
    assert seen == [cell]


def test_a_pools_thread_works_for_whoever_submits(cell: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(session.cell.get).result(60) == cell
        session.cell.set("another")
        assert pool.submit(session.cell.get).result(60) == "another"
        assert pool.submit(lambda *, word: word, word="kept").result(60) == "kept"
    with ThreadPool(1) as older:
        assert older.apply(session.cell.get) == "another"


def test_nobodys_threads_and_nbrays_own_are_left_alone(cell: str) -> None:
    assert seen_by(name="nbray-loop") == ""
    session.cell.set("")
    before = threading.Thread(target=seen_by)
    before.start()
    assert before.run.__func__ is threading.Thread.run  # type: ignore[attr-defined]
    before.join(60)


def test_a_second_start_is_refused_as_ever(cell: str) -> None:
    thread = threading.Thread(target=seen_by)
    thread.start()
    with pytest.raises(RuntimeError, match="once"):
        thread.start()
    thread.join(60)


def test_afterwards_all_is_as_before() -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    threads.follow(pools=True)
    threads.follow(pools=True)
    assert threading.Thread.start is not start
    threads.leave()
    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit is submit
    threads.leave()


def test_what_another_has_put_there_since_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = threading.Thread.start
    threads.follow()
    ours = threading.Thread.start
    seen: list[str] = []

    def theirs(self: threading.Thread) -> None:
        seen.append(self.name)
        ours(self)

    token = session.cell.set("cell 7")
    try:
        threading.Thread.start = theirs  # type: ignore[method-assign]
        threads.leave()
        assert threading.Thread.start is theirs
        assert seen_by(name="a") == ""
        threads.follow()  # ours stands below theirs still
        assert threading.Thread.start is theirs
        assert seen_by(name="b") == "cell 7"
        assert seen == ["a", "b"]
    finally:
        session.cell.reset(token)
        threading.Thread.start = ours  # type: ignore[method-assign]
        threads.leave()
    assert threading.Thread.start is plain


def test_a_class_whose_run_is_a_property_starts_all_the_same(cell: str) -> None:
    ran = threading.Event()

    class Odd(threading.Thread):
        @property
        def run(self) -> Any:
            return ran.set

    Odd().start()
    assert ran.wait(60)
