"""Counts by cell."""

from __future__ import annotations

from nbray.engines.inline.tally import Tally


def test_counts():
    tally = Tally("host")
    for _ in range(3):
        tally.started("a")
    tally.started("b")
    tally.ended("a", failed=False)
    tally.ended("a", failed=True)
    view = tally.cells()["a"]
    assert (view.submitted, view.done, view.failed, view.running) == (3, 1, 1, 1)
    assert not view.finished
    assert view.nodes[0].name == "host"
    assert view.started <= view.updated
    assert tally.totals() == (2, 1, 1)
