"""The work of one map, on an engine whose chunks end when the test says so."""

from __future__ import annotations

from concurrent.futures import Future
from itertools import chain
from types import SimpleNamespace

import pytest

from nbray import session
from nbray.config import InitConfig
from nbray.engine import Capabilities
from nbray.engines.scripted import ScriptedEngine
from nbray.exceptions import TaskCancelledError, WorkerCrashedError
from nbray.options import TaskOptions
from nbray.refs import ObjectRef
from nbray.util.chunk_run import Plan, Report
from nbray.util.map_run import AHEAD, KEPT, Run
from nbray.wire.failures import pack_error


class Engine(ScriptedEngine):
    """Keeps what is submitted; `wait` ends the chunks that `plan` names next."""

    capabilities = Capabilities("fake")

    def __init__(self):
        super().__init__(InitConfig(num_cpus=2))
        self.cluster.node_id = "a"
        self.chunks = {}
        self.outcomes = {}
        self.cancelled = []
        self.early = None
        """Makes a chunk's early report."""
        self.next = None
        """Which of the unfinished chunks ends when somebody waits (None: the first)."""

    @property
    def counts(self):
        """Items that were submitted, done, failed and cancelled."""
        counted = [(submitted, *ended) for submitted, _, *ended in self.cells.counted]
        return [sum(column) for column in zip(*counted, strict=True)]

    def submit(self, function, args, kwargs, options):
        ref = ObjectRef(1, len(self.chunks) + 1, self, None)
        self.chunks[ref] = (args[0], tuple(args[2]))
        return [ref, ObjectRef(2, ref.seq, self, None)]

    def wait(self, refs, num_returns, timeout, fetch_local):
        ready = [ref for ref in refs if ref in self.outcomes]
        if not ready and timeout is None:
            flying = [ref for ref in refs if ref.owner == 1]
            chosen = flying[(self.next or (lambda count: 0))(len(flying))]
            if self.early is not None:
                early = ObjectRef(2, chosen.seq, self, None)
                if early in refs and early not in self.outcomes:
                    report = self.early(*self.chunks[chosen])
                    if report is not None:
                        self.outcomes[early] = report
                        return [early], [ref for ref in refs if ref != early]
            self.outcomes[chosen] = self.run(*self.chunks[chosen])
            self.outcomes.setdefault(ObjectRef(2, chosen.seq, self, None), None)
            ready = [chosen]
        return ready[:num_returns], [ref for ref in refs if ref not in ready]

    def run(self, first, items):
        return Report(list(items), [], 0.001 * len(items), "a", 32)

    def get(self, refs, timeout):
        outcome = self.outcomes[refs[0]]
        if isinstance(outcome, Exception):
            raise outcome
        return [outcome]

    def cancel(self, ref, force, recursive):
        self.cancelled.append(ref)

    def future(self, ref):
        return Future()


@pytest.fixture
def engine():
    before = session.current()
    made = Engine()
    session.install(made)
    yield made
    session.install(before)


def start(items, total=None, **given):
    options = {"seconds": 0.03, "ordered": True, "max_in_flight": None, "return_exceptions": False}
    return Run(
        Plan(None, "f"), [], TaskOptions(counted=False), iter(items), total, **{**options, **given}
    )


def results(run):
    return chain.from_iterable(run)


def test_it_begins_with_single_items(engine):
    run = start(range(100), 100)
    assert [items for _, items in engine.chunks.values()] == [(i,) for i in range(AHEAD * 2)]
    assert list(results(run)) == list(range(100))
    assert len(engine.chunks) < 50
    assert engine.counts == [100, 100, 0, 0]


@pytest.mark.parametrize("ordered", [True, False])
def test_order_does_not_depend_on_who_ends_first(engine, ordered):
    engine.next = lambda count: count - 1
    found = list(results(start(range(500), None, ordered=ordered)))
    assert sorted(found) == list(range(500))
    assert (found == sorted(found)) is ordered


def test_results_behind_a_slow_one_are_bounded(engine):
    engine.next = lambda count: count - 1
    run = start(range(10**9), 10**9, seconds=0.001)
    refs = list(engine.chunks)
    engine.run_first = engine.run
    waits = 0

    def last_but_first(count):
        nonlocal waits
        waits += 1
        return count - 1

    engine.next = last_but_first
    assert next(results(run)) == 0
    assert refs[0] in engine.outcomes
    assert waits <= KEPT * 2 + 1
    run.cancel()


def test_what_a_chunk_did_not_begin_is_run_in_its_place(engine):
    def two(first, items):
        return Report(list(items[:2]), [], 0.002, "a", 32)

    engine.run = two
    assert list(results(start(range(300), 300))) == list(range(300))
    assert engine.counts == [300, 300, 0, 0]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("ran", [0, 1, 5])
def test_an_early_report_brings_results_and_gives_the_rest_back(engine, ran, ordered):
    """The chunk then ends with what it was at; another try of it brings all again."""
    again = []

    def early(first, items):
        if len(items) < 7:
            return None
        return Report(list(items[:ran]), [], 0.06, "a", 32, left=len(items) - ran - 1)

    def run(first, items):
        again.append(first)
        ran_now = len(items) if len(items) < 7 or len(again) % 2 else ran + 1
        return Report(list(items[:ran_now]), [], 1e-5 * ran_now, "a", 32)

    engine.early, engine.run = early, run
    found = list(results(start(range(400), 400, ordered=ordered)))
    assert sorted(found) == list(range(400))
    assert (found == sorted(found)) or not ordered
    assert engine.counts == [400, 400, 0, 0]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("ordered", [True, False])
def test_an_early_report_may_bring_all_results(engine, fails, ordered):
    """The chunk's last item ended just before the report was made: nothing is left to run."""
    runs = []

    def early(first, items):
        return Report([item * 10 for item in items], [], 0.01, "a1")

    def run(first, items):
        runs.append(list(items))
        assert items, "a chunk without items would be handed out for ever"
        if fails:
            return WorkerCrashedError("after its results")
        return Report([item * 10 for item in items], [], 0.01, "a1")

    engine.early, engine.run = early, run
    run_ = start(range(40), ordered=ordered)
    assert sorted(results(run_)) == [item * 10 for item in range(40)]
    assert sum(map(len, runs)) <= 40
    assert run_.left() == 0


def test_early_results_do_not_wait_for_the_slow_item(engine):
    def early(first, items):
        return Report(list(items[:2]), [], 0.06, "a", 32, left=0) if len(items) == 8 else None

    def run(first, items):
        assert len(items) != 8, "the slow chunk has not ended"
        return Report(list(items), [], 1e-4 * len(items), "a", 32)

    engine.early, engine.run = early, run
    stream = results(start(range(9), None))
    chunk = [first for first, items in engine.chunks.values() if len(items) == 8]
    assert not chunk
    assert [next(stream) for _ in range(6)] == list(range(6))


def test_a_crash_after_an_early_report_blames_what_was_running(engine):
    def early(first, items):
        return Report(list(items[:2]), [], 0.06, "a", 32, left=len(items) - 3) if 77 in items and (
            len(items) > 3
        ) and items.index(77) == 2 else None

    def run(first, items):
        if 77 in items:
            return WorkerCrashedError("the worker died")
        return Report(list(items), [], 1e-4 * len(items), "a", 32)

    engine.early, engine.run = early, run
    found = list(results(start(range(200), 200, return_exceptions=True)))
    assert isinstance(found[77], WorkerCrashedError)
    assert found[:77] + found[78:] == [i for i in range(200) if i != 77]
    assert engine.counts == [200, 199, 1, 0]


def test_a_chunk_that_began_nothing_is_run_again(engine):
    seen = []

    def lazy(first, items):
        seen.append(first)
        ran = items if seen.count(first) > 1 else ()
        return Report(list(ran), [], 0.001, "a", 32)

    engine.run = lazy
    assert list(results(start(range(9), 9))) == list(range(9))


def test_a_chunk_that_fails_as_a_whole_is_taken_apart(engine):
    def crash(first, items):
        if 77 in items:
            return WorkerCrashedError("the worker died")
        return Report(list(items), [], 1e-5 * len(items), "a", 32)

    engine.run = crash
    run = start(range(200), 200, return_exceptions=True)
    found = list(results(run))
    assert isinstance(found[77], WorkerCrashedError)
    assert found[77].__notes__ == ["(item 77: 77)"]
    assert found[:77] + found[78:] == [i for i in range(200) if i != 77]
    assert engine.counts == [200, 199, 1, 0]


def test_errors_stand_at_their_places(engine):
    def third(first, items):
        bad = [n for n, item in enumerate(items) if item % 3 == 2]
        error = pack_error(KeyError("third"), "f", "", 0)
        return Report(list(items), [(n, error) for n in bad], 1e-5, "a", 32)

    engine.run = third
    found = []
    stream = results(start(range(60), 60))
    while True:
        try:
            found.append(next(stream))
        except StopIteration:
            break
        except KeyError:
            found.append("error")
    assert found == ["error" if i % 3 == 2 else i for i in range(60)]
    assert engine.counts == [60, 40, 20, 0]


def test_cancelled_from_outside(engine):
    engine.run = lambda first, items: TaskCancelledError("f was cancelled")
    run = start(range(50), 50)
    stream = results(run)
    for _ in range(2):
        with pytest.raises(TaskCancelledError, match="the map of f was cancelled"):
            next(stream)
    assert engine.counts == [6, 0, 0, 6]


def test_an_interrupt_is_raised_and_cancels(engine):
    def interrupted(first, items):
        raise KeyboardInterrupt

    engine.run = interrupted
    stream = results(start(range(50), 50))
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert len(engine.cancelled) == AHEAD * 2
    with pytest.raises(TaskCancelledError, match="by KeyboardInterrupt"):
        next(stream)


def test_a_length_that_was_wrong_is_mended(engine):
    assert len(list(results(start(range(30), 50)))) == 30
    assert engine.counts == [30, 30, 0, 0]
    assert len(list(results(start(range(30), 10)))) == 30
    assert engine.counts == [60, 60, 0, 0]


def test_bars_see_one_wait_from_the_first_to_the_last(engine):
    log = []

    class Wait:
        def __enter__(self):
            log.append("begin")

        def __exit__(self, *_):
            log.append("end")

    session.watch_waits(Wait)
    try:
        assert len(list(results(start(range(100), 100)))) == 100
    finally:
        session.watch_waits(None)
    assert log == ["begin", "end"]


def test_letting_go_cancels(engine):
    run = start(range(50), 50)
    del run
    for _ in range(1000):
        if engine.counts[3]:
            break
        __import__("time").sleep(0.01)
    assert engine.counts == [6, 0, 0, 6]


@pytest.mark.parametrize(("stopped", "counts"), [(True, [50, 0, 0, 50]), (False, [6, 0, 0, 6])])
def test_what_the_stop_button_ends_is_all_that_was_asked_for(engine, stopped, counts):
    run = start(range(50), 50)
    token = session.run.set(SimpleNamespace(stopped=stopped))
    try:
        run.cancel()
    finally:
        session.run.reset(token)
    assert engine.counts == counts
