"""What `init` returns, as IPython shows it."""

from __future__ import annotations

import sys

import pytest

import nbray
from nbray.jupyter.notebook import current
from nbray.jupyter.panel import context_display, panel


@pytest.fixture
def shown(monkeypatch):
    """The panels that were shown, in a process that is a kernel."""
    found = []
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr(panel, "show", lambda: found.append("panel") or True)
    return found


def formatted(shell, value):
    return shell.display_formatter.format(value)[0]


def test_a_context_is_shown_as_the_panel(ip, shown):
    context = nbray.init()
    context_display.install(current())  # twice is once
    assert formatted(ip, context) == {}
    assert shown == ["panel"]


def test_an_ended_one_as_text(ip, shown):
    context = nbray.init()
    nbray.shutdown()
    assert "disconnected" in formatted(ip, context)["text/plain"]
    assert not shown


def test_outside_a_notebook_as_text_and_html(ip, monkeypatch):
    monkeypatch.setattr(panel, "show", lambda: False)
    context = nbray.init()
    both = formatted(ip, context)
    assert "1 node" in both["text/plain"]
    assert "nbray" in both["text/html"]
