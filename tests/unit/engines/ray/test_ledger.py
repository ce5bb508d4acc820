"""The books of a driver's work on a Ray cluster: counted once, whatever comes twice or early."""

from __future__ import annotations

from typing import Any

from nbray.engines.ray import told
from nbray.engines.ray.ledger import QUIET, Ledger
from nbray.events import CellView

CELL = "cell"
NODE = "aa"


class Held:
    """Stands for what holds a reference of Ray's."""


def view(ledger: Ledger, now: float = 10.0) -> CellView:
    found = ledger.view(CELL, now, {NODE: 1, "bb": 2, "": 0}.__getitem__, str.upper, lambda _: 4.0)
    assert found is not None
    return found


def began(number: int, **more: Any) -> told.Began:
    return told.Began(number, CELL, "f", **{"counted": True, "main": True, **more})


def ended(number: int, how: int = told.DONE, micros: int = 500_000) -> told.Ended:
    return told.Ended(number, CELL, how, micros, 1000)


def launched(ledger: Ledger, *numbers: int, now: float = 0.0, **more: Any) -> None:
    for number in numbers:
        ledger.submitted(CELL, number, "f", True, now, **more)


def test_a_call_is_submitted_runs_and_ends() -> None:
    ledger = Ledger()
    launched(ledger, 1, 2)
    ledger.began(began(1), NODE, 7, 1.0)
    assert (view(ledger).submitted, view(ledger).running, view(ledger).queued) == (2, 1, 1)
    assert view(ledger, 4.0).oldest == 3.0
    ledger.ended(ended(1), NODE, 7, 5.0)
    ledger.began(began(2), "bb", 8, 5.0)
    ledger.ended(ended(2, told.FAILED, 2_000_000), "bb", 8, 7.0)
    seen = view(ledger)
    assert (seen.done, seen.failed, seen.finished, seen.workers) == (1, 1, True, 2)
    assert (seen.work, seen.longest, seen.longest_node, seen.updated) == (2.5, 2.0, "BB", 7.0)
    assert [node.number for node in seen.nodes] == [1, 2]
    assert ledger.unfinished(CELL) == 0


def test_an_end_that_comes_before_the_call_is_known_is_kept() -> None:
    ledger = Ledger()
    ledger.began(began(1), NODE, 7, 1.0)
    assert view(ledger).submitted == 0 and view(ledger).running == 0
    ledger.ended(ended(1), NODE, 7, 2.0)
    assert view(ledger).done == 0
    launched(ledger, 1, now=3.0)
    assert (view(ledger).done, view(ledger).finished) == (1, True)


def test_what_is_told_twice_counts_once() -> None:
    ledger = Ledger()
    launched(ledger, 1)
    for _ in range(2):
        ledger.began(began(1), NODE, 7, 1.0)
        ledger.ended(ended(1), NODE, 7, 2.0)
    assert (view(ledger).done, view(ledger).running, view(ledger).measured) == (1, 0, 1)


def test_an_attempt_that_is_made_again_is_no_end() -> None:
    ledger = Ledger()
    launched(ledger, 1)
    ledger.began(began(1), NODE, 7, 1.0)
    ledger.ended(ended(1, told.AGAIN), NODE, 7, 2.0)
    assert (view(ledger).failed, view(ledger).running, ledger.unfinished(CELL)) == (0, 0, 1)
    ledger.began(began(1), NODE, 7, 3.0)
    ledger.ended(ended(1), NODE, 7, 4.0)
    assert (view(ledger).done, view(ledger).finished) == (1, True)


def test_nested_calls_count_with_their_cell() -> None:
    ledger = Ledger()
    launched(ledger, 1)
    launched(ledger, 2, nested=True)
    ledger.ended(ended(2), NODE, 7, 1.0)
    assert (view(ledger).submitted, view(ledger).nested, view(ledger).done) == (2, 1, 1)
    assert not view(ledger).finished


def test_whoever_tells_nothing_is_asked_about_and_settled() -> None:
    ledger, held = Ledger(), Held()
    launched(ledger, 1, held=lambda: held)
    assert not ledger.unsure(QUIET / 2, 10)
    assert [call.number for call, _ in ledger.unsure(QUIET / 2, 10, {CELL})] == [1]
    assert [call.number for call, _ in ledger.unsure(2 * QUIET, 10)] == [1]
    assert not ledger.unsure(2 * QUIET, 10)  # it was asked about this moment
    ledger.settled(1, told.CANCELLED, "", 1.0)
    assert (view(ledger).cancelled, view(ledger).measured, view(ledger).finished) == (1, 0, True)


def test_what_a_process_tells_late_is_true() -> None:
    ledger, held = Ledger(), Held()
    launched(ledger, 1, held=lambda: held)
    ledger.settled(1, told.DONE, "", 1.0)
    assert [node.name for node in view(ledger).nodes] == ["?"]
    for _ in range(2):
        ledger.ended(ended(1), NODE, 7, 2.0)
    seen = view(ledger)
    assert (seen.done, seen.measured, seen.work, seen.submitted) == (1, 1, 0.5, 1)
    assert [node.name for node in seen.nodes] == ["AA"]


def test_a_process_that_ends_runs_nothing_any_more() -> None:
    ledger = Ledger()
    launched(ledger, 1)
    ledger.began(began(1), NODE, 7, 1.0)
    assert ledger.processes() == {NODE: {7}}
    ledger.gone(NODE, 7, 2.0)
    assert (view(ledger).running, ledger.unfinished(CELL), ledger.processes()) == (0, 1, {})
    # Nobody holds what it makes, and Ray does not try it again: in the end it is lost.
    assert [(call.number, held) for call, held in ledger.unsure(60.0, 10)] == [(1, None)]


def test_a_node_that_is_gone_takes_its_processes_along() -> None:
    ledger = Ledger()
    launched(ledger, 1, 2)
    ledger.began(began(1), NODE, 7, 1.0)
    ledger.began(began(2), "bb", 8, 1.0)
    ledger.lost_nodes({"bb"}, 2.0)
    assert ledger.processes() == {"bb": {8}}


def test_what_is_not_counted_runs_and_is_measured() -> None:
    ledger = Ledger()
    ledger.submitted(CELL, 1, "chunk", False, 0.0)
    ledger.count(CELL, 100, "", 0, 0, 0, 0.0)
    ledger.began(began(1, counted=False), NODE, 7, 1.0)
    assert [call.number for call in ledger.calls(CELL)] == [1] and view(ledger).running == 0
    ledger.ended(told.Ended(1, CELL, told.DONE, 1_000_000, 0, False), NODE, 7, 2.0)
    ledger.count(CELL, 0, NODE, 98, 2, 0, 2.0)
    seen = view(ledger)
    assert (seen.done, seen.failed, seen.items, seen.work, seen.finished) == (98, 2, 100, 1.0, True)
