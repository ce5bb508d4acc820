"""The button under the table of memory: one at a time, and gone once it is pressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_kernel import Kernel, Shell

from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.cells.live import VIEW
from nbray.jupyter.insight.free_button import FreeButton, _widget


class Part:
    closed = False

    def close(self) -> None:
        self.closed = True


class Button(Part):
    comm = "comm"
    model_id = "m"

    def __init__(self, label: str) -> None:
        self.label = label
        self.layout, self.style = Part(), Part()
        self.click: Callable[[Any], None] = lambda _button: None

    def on_click(self, hook: Callable[[Any], None]) -> None:
        self.click = hook


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def own(kernel: Kernel) -> Cells:
    cells = Cells()
    cells.attach(Shell(kernel))
    return cells


def bundles(kernel: Kernel) -> list[dict[str, Any]]:
    return [sent["content"]["data"] for sent in kernel.sent]


def test_it_runs_once_and_leaves_no_widget(kernel: Kernel, own: Cells) -> None:
    made: list[Button] = []

    def make(label: str) -> Button:
        made.append(Button(label))
        return made[-1]

    pressed: list[int] = []
    FreeButton(make).show(own, "c", "Free 3 MB", lambda: pressed.append(1))
    assert made[0].label == "Free 3 MB"
    assert bundles(kernel)[0][VIEW]["model_id"] == "m"
    made[0].click(made[0])
    made[0].click(made[0])  # a double click
    assert pressed == [1]
    assert made[0].closed
    assert bundles(kernel)[-1] == {"text/html": "", "text/plain": ""}


def test_another_takes_the_place_of_the_last(kernel: Kernel, own: Cells) -> None:
    made: list[Button] = []
    pressed: list[str] = []

    def make(label: str) -> Button:
        made.append(Button(label))
        return made[-1]

    one = FreeButton(make)
    one.show(own, "c", "Free 1 MB", lambda: pressed.append("first"))
    one.show(own, "d", "Free 2 MB", lambda: pressed.append("second"))
    assert made[0].closed
    made[0].click(made[0])
    made[1].click(made[1])
    assert pressed == ["second"]
    one.end()  # nothing is left to end


def test_the_widget_is_a_core_one() -> None:
    widget = _widget("Free 1 MB")
    assert widget._model_module == "@jupyter-widgets/controls"
    assert "%nbray free" in widget.tooltip
    for part in (widget, widget.layout, widget.style):
        part.close()
