"""`%nbray debug`: the frames and values of a failed task, in the notebook."""

from __future__ import annotations

import pytest

from nbray.exceptions import WorkerCrashedError
from nbray.jupyter.failures.debug import PostMortem, last_error
from nbray.jupyter.failures.errors import NotebookError, remember
from nbray.wire import frame_capture
from nbray.wire.failures import pack_error, unpack_error

FAILING = """@remote
def outer(n):
    data = list(range(n))
    return inner(data, 0)

def inner(data, by):
    return data[1] / by

nbray.get(outer.remote(3))"""


@pytest.fixture(autouse=True)
def _fresh():
    frame_capture._seen().clear()


def test_the_last_failure_is_shown_with_its_locals(say):
    say(FAILING)
    text = say("%nbray debug")
    assert "ZeroDivisionError: division by zero" in text
    assert "in outer on" in text
    assert "line 4 in outer" in text
    assert "line 7 in inner" in text
    assert "data = [0, 1, 2]" in text
    assert "by   = 0" in text


def test_frames_are_selected_and_values_come_into_the_notebook(say, ip):
    say(FAILING)
    assert "n    = 3" in say("%nbray debug 0")
    assert say("%nbray debug 1 -o data,by") == "data, by from frame 1"
    assert (ip.user_ns["data"], ip.user_ns["by"]) == ([0, 1, 2], 0)
    assert "frame 1 has no 'nothing'; it has data, by" in say("%nbray debug 1 -o nothing")
    assert "there is no frame 9" in say("%nbray debug 9")
    assert "number of a frame" in say("%nbray debug x")


def test_the_post_mortem_is_a_mapping_of_the_frame(say, ip):
    say(FAILING)
    say("p = %nbray debug")
    found = ip.user_ns["p"]
    assert dict(found) == {"data": [0, 1, 2], "by": 0}
    assert found.eval("sum(data) + by") == 3
    assert found.up()["n"] == 3
    assert found.down()["by"] == 0
    assert "<details open" in found._repr_html_()
    with pytest.raises(KeyError):
        found["n"]


def test_errors_without_frames_say_why():
    dead = PostMortem(WorkerCrashedError("f: killed by SIGKILL"))
    assert "killed by SIGKILL" in repr(dead)
    assert "The process is gone" in repr(dead)
    with pytest.raises(NotebookError, match="carries no frames"):
        dead.select(0)
    try:
        raise ValueError("again")
    except ValueError as error:
        for _ in range(frame_capture.FULL + 1):
            last = unpack_error(pack_error(error, "f", "lab", 1))
    assert "captured several times already" in repr(PostMortem(last))
    assert dict(PostMortem(last)) == {}


def test_other_errors_do_not_count(say):
    say(FAILING)
    say("1 / 0")
    say("%nbray debug 99")
    assert "ZeroDivisionError: division by zero" in say("%nbray debug")


def test_nothing_has_failed():
    remember(None)
    with pytest.raises(NotebookError, match="no task of this notebook has failed yet"):
        last_error()


def test_the_notebooks_own_frames_are_not_kept():
    try:
        raise WorkerCrashedError("x")
    except WorkerCrashedError as error:
        remember(error)
    assert str(last_error()) == "x"
    assert last_error().__traceback__ is None
