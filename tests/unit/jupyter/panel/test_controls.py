"""The panel's buttons: what is enabled, what opens, what a click asks for."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest
from ipywidgets import Button
from scenes import cluster

from nbray.events import Snapshot
from nbray.jupyter.panel.actions import State
from nbray.jupyter.panel.controls import OPENERS, Controls, Seen


class Errands:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *more: self.asked.append((name, *more))


class Bench:
    def __init__(self) -> None:
        self.errands = Errands()
        self.opened = 0
        self.controls = Controls(self.errands, self.count, threading.RLock())  # type: ignore[arg-type]
        self.show()

    def count(self) -> None:
        self.opened += 1

    def show(self, state: State = State(), nodes: int = 3, **more: Any) -> None:  # noqa: B008 - frozen
        self.controls.show(Seen(cluster(nodes), state, **{"removable": 1, **more}))

    def button(self, label: str) -> Button:
        (found,) = [one for one in self.buttons() if one.description == label]
        return found

    def buttons(self) -> list[Button]:
        found: list[Button] = []
        waiting = list(self.controls.children)
        while waiting:
            one = waiting.pop()
            waiting += getattr(one, "children", ())
            found += [one] if isinstance(one, Button) else []
        return found

    @property
    def note(self) -> str:
        return str(self.controls._note.value)

    @property
    def text(self) -> str:
        assert self.controls._text is not None
        return str(self.controls._text.value)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_every_button_says_what_it_does(bench: Bench) -> None:
    for button in bench.buttons():
        assert button.description
        assert len(button.tooltip) > 10


def test_a_click_asks_for_it(bench: Bench) -> None:
    bench.button("+ Node").click()
    bench.button("− Node").click()
    assert bench.errands.asked == [("add",), ("remove",)]


def test_while_something_is_done_it_says_so_and_the_buttons_rest(bench: Bench) -> None:
    bench.show(State(busy="Adding a node…"))
    assert bench.button("+ Node").disabled
    assert bench.button("− Node").disabled
    assert "Adding a node…" in bench.note
    assert bench.controls._note.layout.display is None
    bench.show(State(error="the port is taken"))
    assert not bench.button("+ Node").disabled
    assert 'role="alert">the port is taken' in bench.note
    bench.show(removable=0)
    assert bench.button("− Node").disabled
    assert bench.note == ""
    assert bench.controls._note.layout.display == "none"


def test_one_drawer_at_a_time(bench: Bench) -> None:
    bench.button("Jobs").click()
    assert bench.controls.open == "jobs"
    bench.button("Logs").click()
    assert bench.controls.open == "logs"
    assert len(bench.controls._drawer.children) == 1
    assert bench.button("Jobs")
    bench.button("Hide logs").click()
    assert bench.controls.open == ""
    assert bench.controls._drawer.children == ()
    assert bench.opened == 3


def test_what_is_open_shows_what_was_seen(bench: Bench) -> None:
    bench.button("Jobs").click()
    bench.show(inside={"jobs": "<b>jobs</b>"})
    assert bench.text == "<b>jobs</b>"
    bench.show(inside={"jobs": "<b>more jobs</b>"})
    assert bench.text == "<b>more jobs</b>"


def test_the_line_for_joining_is_asked_for_shown_and_forgotten(bench: Bench) -> None:
    bench.button("Join line").click()
    assert bench.errands.asked == [("join",)]
    assert bench.text == ""
    bench.show(State(join="nbray start --address=x"))
    assert "nbray start --address=x" in bench.text
    bench.button("Hide join line").click()
    assert bench.errands.asked[-1] == ("hide",)


def test_a_node_is_chosen_and_stopped(bench: Bench) -> None:
    bench.button("Stop a node").click()
    choice = bench.controls._choice
    assert choice is not None
    bench.show()
    assert [number for _, number in choice.options] == [2, 3]
    choice.value = 3
    assert "tasks running there" in bench.text
    bench.show(nodes=4)
    assert choice.value == 3, "what was chosen stays chosen"
    bench.button("Stop gently").click()
    bench.button("Stop at once").click()
    assert bench.errands.asked == [("end", 3, True), ("end", 3, False)]
    bench.show(State(busy="Stopping node 3…"))
    assert bench.button("Stop gently").disabled
    bench.show(nodes=1)
    assert choice.value is None
    assert bench.button("Stop gently").disabled
    assert "no node but the head" in bench.text
    bench.button("Stop gently").click()
    assert len(bench.errands.asked) == 2


def test_a_node_that_comes_while_the_drawer_is_open_can_be_stopped(bench: Bench) -> None:
    bench.show(nodes=1)
    bench.button("Stop a node").click()
    bench.show(nodes=1)
    assert bench.button("Stop at once").disabled
    assert "no node but the head" in bench.text
    bench.show(nodes=2)
    assert "running there" in bench.text
    bench.button("Stop at once").click()
    assert bench.errands.asked == [("end", 2, False)]


def test_ones_own_node_is_not_offered(bench: Bench) -> None:
    bench.button("Stop a node").click()
    bench.show(mine=cluster(3).nodes[1].node_id)
    assert bench.controls._choice is not None
    assert [number for _, number in bench.controls._choice.options] == [3]


def test_unchanged_nothing_is_sent(bench: Bench) -> None:
    for name in OPENERS:
        bench.controls._turn(name)
        bench.show()
        sent: list[Any] = []
        watched = [*bench.buttons(), bench.controls._text, bench.controls._note]
        if bench.controls._choice is not None:
            watched.append(bench.controls._choice)
        for widget in watched:
            widget.observe(sent.append)  # type: ignore[union-attr]
        bench.show()
        same = msgspec.structs.replace(cluster(3), actors=5)
        bench.controls.show(Seen(Snapshot(same.nodes), removable=1))
        assert sent == [], name
        bench.controls._close()
