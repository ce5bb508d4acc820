"""One chunk, as a worker runs it."""

import linecache
import threading

import numpy as np
import pytest

import nbray
from nbray import session
from nbray.util import chunk_run
from nbray.util.chunk_run import Plan, brief, unpack_error, weight


@pytest.fixture(autouse=True)
def engine():
    nbray.shutdown()
    nbray.init(engine="inline")
    yield
    nbray.shutdown()


def run_chunk(plan, first, large, *items):
    report, early = chunk_run.run_chunk(plan, first, large, items)
    assert early is None
    return report


def half(x):
    return 10 // x


def test_results_in_order():
    report = run_chunk(Plan(half, "half"), 0, [], 1, 2, 5)
    assert (report.results, report.failures) == ([10, 5, 2], [])
    assert report.seconds >= 0
    assert report.weight == weight(10)


def test_several_arguments_a_call():
    report = run_chunk(Plan(lambda x, y: (x, y), "pair", width=2), 0, [], (1, "a"), (2, "b"))
    assert report.results == [(1, "a"), (2, "b")]


def test_arguments_one_after_the_other():
    plan = Plan(lambda x, y: (x, y), "pair", width=2)
    assert chunk_run.run_chunk(plan, 0, [], None, 1, "a", 2, "b")[0].results == [(1, "a"), (2, "b")]
    assert chunk_run.run_chunk(Plan(half, "half"), 0, [], None, 5, 2)[0].results == [2, 5]


def test_an_error_stands_at_its_place_and_names_the_item():
    report = run_chunk(Plan(half, "half"), 40, [], 1, 0, 5)
    assert report.results == [10, None, 2]
    ((place, packed),) = report.failures
    error = unpack_error(packed)
    assert place == 1
    assert isinstance(error, ZeroDivisionError)
    assert error.function_name == "half"
    assert "(item 41: 0)" in str(error)
    assert "return 10 // x" in str(error)
    assert "util/chunk_run.py" not in str(error).replace("test_chunk_run.py", "")


def test_an_error_of_several_arguments_shows_them():
    report = run_chunk(Plan(lambda x, y: x / y, "ratio", width=2), 0, [], (1, 1), (2, 0))
    assert "(item 1: (2, 0))" in str(unpack_error(report.failures[0][1]))


def test_stop_iteration_is_an_error_like_others():
    def odd(x):
        if x % 2:
            raise StopIteration
        return x

    report = run_chunk(Plan(odd, "odd"), 0, [], 0, 1, 2, 3)
    assert report.results == [0, None, 2, None]
    assert [place for place, _ in report.failures] == [1, 3]
    assert "odd raised StopIteration" in str(unpack_error(report.failures[0][1]))


def test_an_interrupt_ends_the_chunk():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_chunk(Plan(interrupted, "interrupted"), 0, [], 1, 2)


def test_what_a_slow_item_holds_back_is_given_back_at_once(monkeypatch):
    reported = threading.Event()
    early = []

    def give(report):
        early.append(report)
        reported.set()

    monkeypatch.setattr(session.current().context, "early", lambda index: give)

    def slow(x):
        if x == 2:
            reported.wait(60)  # ends when the early report has been given
        return x

    report = run_chunk(Plan(slow, "slow", patience=0.5), 0, [], *range(100))
    assert early[0].results == [0, 1]
    assert early[0].left == 97
    assert report.results == [0, 1, 2]


def test_results_that_cannot_be_given_early_come_at_the_end(monkeypatch):
    reported = threading.Event()
    early = []

    def give(report):
        if report.results:
            raise TypeError("references")
        early.append(report)
        reported.set()

    monkeypatch.setattr(session.current().context, "early", lambda index: give)
    report = run_chunk(
        Plan(lambda x: x and reported.wait(60), "slow", patience=0.5), 0, [], 0, 1, 2, 3
    )
    assert (early[0].results, early[0].left) == ([], 2)
    assert report.results == [0, True]


@pytest.mark.parametrize(
    ("retry_on", "retries", "calls"),
    [(True, 3, 3), ((KeyError,), 2, 3), ((KeyError,), 1, 2), ((ValueError,), 9, 1), (False, 9, 1)],
)
def test_items_are_tried_again(retry_on, retries, calls):
    seen = []

    def flaky(x):
        seen.append(x)
        if len(seen) < 3:
            raise KeyError(x)
        return "done"

    plan = Plan(flaky, "flaky", retries=retries, retry_on=retry_on)
    report = run_chunk(plan, 0, [], 7)
    assert len(seen) == calls
    assert report.results == (["done"] if calls == 3 else [None])


def test_large_values_come_before_the_item_and_are_let_go():
    refs = [nbray.put("a"), nbray.put("b")]
    plan = Plan(lambda a, b, x: a + b + x, "join")
    assert run_chunk(plan, 0, refs, "x", "y").results == ["abx", "aby"]
    assert run_chunk(Plan(None, "upper"), 0, [nbray.put(str.upper)], "x").results == ["X"]
    assert chunk_run._held.now == ((), [])


def test_the_text_of_a_cell_is_remembered():
    run_chunk(Plan(half, "half", filename="Cell In[77]", source="a = 1\nb = 2\n"), 0, [], 1)
    assert linecache.getline("Cell In[77]", 2) == "b = 2\n"
    del linecache.cache["Cell In[77]"]


def test_a_look_at_a_value():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    assert brief(3) == "3"
    assert brief("x" * 100) == "'" + "x" * 76 + "..."
    assert "Broken" in brief(Broken())


def test_about_how_large_values_are():
    assert weight(np.zeros(1000)) == 8000
    assert weight(b"x" * 1000) > 1000
    assert weight(None) > 0
