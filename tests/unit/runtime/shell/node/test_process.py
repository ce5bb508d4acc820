"""A node's process where the system refuses it something."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from nbray.runtime.shell.machine import resources
from nbray.runtime.shell.machine.descriptors import Room
from nbray.runtime.shell.node.looking import Looks
from nbray.runtime.shell.node.process import Node, refusals
from nbray.runtime.shell.process.log import Notes

FULL = OSError(errno.EMFILE, "Too many open files")
NOT_LOADED = ImportError("_posixsubprocess.so: cannot open shared object file: Too many open files")


NOT_FOUND = ModuleNotFoundError("No module named 'psutil'")


@pytest.mark.parametrize("refusal", [FULL, NOT_LOADED, NOT_FOUND])
def test_a_machine_that_cannot_be_looked_at_ends_no_node(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], refusal: Exception
) -> None:
    """What it looks with is loaded at the first look, and that takes descriptors, too."""

    def refuse() -> Any:
        raise refusal

    monkeypatch.setattr(resources, "figures", refuse)
    node = Node.__new__(Node)
    node._looks = Looks("", Room(), Notes())
    node._report(1.0)
    assert "looking at the machine failed" in capfd.readouterr().err
    assert isinstance(refusal, refusals())


def test_what_the_brain_planned_is_done_though_it_plans_it_no_more_when_its_time_has_come() -> None:
    """A pause of forks, say: while it lasts its end is planned, and afterwards it is over."""
    ticks: list[float] = []
    node: Any = Node.__new__(Node)
    node._own, node._stats_due = [], 100.0
    node._store = SimpleNamespace(memory=SimpleNamespace(discarding=False))
    node._post = SimpleNamespace(retry_at=None)
    node._links = SimpleNamespace(next_deadline=lambda: None, unmet=[])
    node._do = lambda effects, now: ticks.append(now)
    node._brain = SimpleNamespace(
        next_deadline=lambda now: 5.0 if now < 5.0 else None, tick=lambda now: [],
        guard=SimpleNamespace(due=lambda: None),
    )
    assert node._timeout(4.9) >= 100
    node._time(4.95)
    assert ticks == []
    node._time(5.001)
    assert ticks == [5.001]
