"""Who holds the running cell's output: streams, publishers, widgets."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import ipywidgets
import pytest
from ipykernel.iostream import OutStream
from ipykernel.kernelbase import Kernel
from IPython.core.displaypub import CapturingDisplayPublisher, DisplayPublisher

from nbray.jupyter.cells.output_holders import OutputHolders, captured, write


class Cells:
    """One cell runs, in a kernel that has never been started."""

    def __init__(self, kernel=True):
        self.shell = SimpleNamespace(display_pub=DisplayPublisher())
        self.kernel = Kernel.__new__(Kernel) if kernel else object()

    def running(self):
        return "now"


class Sulky:
    """A stream that has an error of its own."""

    def write(self, text):
        raise RuntimeError("the window was closed")


@pytest.fixture
def held():
    return OutputHolders(Cells())


def test_a_stream_in_the_kernels_place_holds_the_running_cells_text(held, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert held.stream("now", "stdout") is out
    assert held.stream("", "stdout") is out, "work of no cell: a click, perhaps"
    assert held.stream("earlier", "stdout") is None
    monkeypatch.setattr(sys, "stdout", OutStream.__new__(OutStream))
    assert held.stream("now", "stdout") is None
    monkeypatch.setattr(sys, "stdout", None)
    assert held.stream("now", "stdout") is None


def test_outside_a_kernel_streams_are_what_they_are(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert OutputHolders(Cells(kernel=False)).stream("now", "stdout") is None


def test_a_publisher_that_keeps_displays(held):
    assert held.publisher("now") is None
    assert not held.displays("now")
    held._cells.shell.display_pub = CapturingDisplayPublisher()
    assert held.publisher("now") is held._cells.shell.display_pub
    assert held.publisher("earlier") is None
    assert held.displays("now")


def test_an_open_output_widget_holds_what_comes_with_its_message(held):
    assert held.box("now") == ""
    first, second = ipywidgets.Output(), ipywidgets.Output()
    assert held.box("now") == ""
    first.msg_id = "now"
    assert held.box("now") == "now"
    assert held.box("earlier") == ""
    second.msg_id = "click"
    assert held.box("now") == "now"
    assert held.box("") == "click"
    first.msg_id = second.msg_id = ""
    assert held.box("") == ""
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("lines", "quiet"),
    [
        (["%%capture"], True),
        (["%%capture cap", "f()"], True),
        (["# a remark", "%%capture"], True),
        (["%%capture --no-display"], False),
        (["f()", "%%capture"], False),
        (["%%time"], False),
        ([], False),
    ],
)
def test_cells_that_keep_all_to_themselves(lines, quiet):
    assert captured(lines) is quiet


def test_a_stream_that_takes_nothing():
    closed = io.StringIO()
    closed.close()
    assert not write(closed, "text")
    assert not write(io.BytesIO(), "text")
    assert not write(object(), "text")
    assert not write(Sulky(), "text")
    assert write(io.StringIO(), "text")
