"""Values in rich form, and what stands in for IPython's `display`."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest

from nbray import session
from nbray.hosting import showing


class Rich:
    def _repr_html_(self):
        return "<b>x</b>"

    def _repr_png_(self):
        return b"png"

    def _repr_svg_(self):
        raise ValueError("broken")

    def _repr_latex_(self):
        return None

    def __repr__(self):
        return "rich"


class Whole:
    def _repr_mimebundle_(self):
        return {"text/plain": "whole", "a/b": {"json": 1}}, {"a/b": {"x": 1}}


class Own:
    def _ipython_display_(self):
        showing.display({"text/html": "own"}, raw=True)


@pytest.fixture
def shown(monkeypatch):
    """What was published: (data, metadata, display id, update)."""
    found = []

    class Publisher:
        at_end = None

        def publish(self, *what):
            found.append(what)

    monkeypatch.setattr(session, "_publisher", Publisher())
    return found


def test_every_form_that_works_is_there():
    data, metadata = showing.forms(Rich())
    assert data == {
        "text/html": "<b>x</b>", "image/png": base64.b64encode(b"png").decode(),
        "text/plain": "rich",
    }
    assert metadata == {}
    assert showing.forms(Whole()) == (
        {"text/plain": "whole", "a/b": {"json": 1}}, {"a/b": {"x": 1}},
    )


def test_classes_and_broken_reprs_are_text():
    class Broken:
        def __repr__(self):
            raise ValueError("no")

    assert list(showing.forms(Rich)[0]) == ["text/plain"]
    assert "its repr failed: no" in showing.forms(Broken())[0]["text/plain"]


def test_display_publishes_each_value(shown):
    assert showing.display(1, Rich(), Own(), metadata={"m": 1}) is None
    assert [one[0].get("text/html") for one in shown] == [None, "<b>x</b>", "own"]
    assert shown[0][1] == {"m": 1}


def test_display_ids_and_updates(shown):
    handle = showing.display("a", display_id=True)
    handle.update("b")
    handle.display("c")
    assert {one[2] for one in shown} == {handle.display_id}
    assert [one[3] for one in shown] == [False, True, False]
    assert showing.display("x", transient={"display_id": "mine"}).display_id == "mine"


def test_forms_can_be_chosen(shown):
    showing.display(Rich(), include=["text/html"])
    showing.display(Rich(), exclude=["image/png"])
    assert set(shown[0][0]) == set(shown[1][0]) == {"text/html", "text/plain"}


def test_without_a_publisher_nothing_happens(monkeypatch):
    monkeypatch.setattr(session, "_publisher", None)
    showing.display(1)


def test_ipythons_display_becomes_ours_without_being_loaded_by_us():
    program = (
        "import os, sys; os.environ['MPLBACKEND'] = 'module://matplotlib_inline.backend_inline'\n"
        "from nbray.hosting import showing; showing.install()\n"
        "assert not any(name.split('.')[0] in ('IPython', 'matplotlib') for name in sys.modules)\n"
        "assert display is showing.display\n"
        "from IPython.display import display as theirs, update_display\n"
        "assert theirs is showing.display and update_display is showing.update_display\n"
        "assert os.environ['MPLBACKEND'] == showing.BACKEND\n"
        "assert not [one for one in sys.meta_path if 'nbray' in repr(one)]"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_widget_is_text_and_says_why():
    widgets = pytest.importorskip("ipywidgets")
    data, _ = showing.forms(widgets.IntSlider(3))
    assert set(data) == {"text/plain"}
    assert data["text/plain"].startswith("IntSlider(value=3)\n(a widget that a task shows is text")
