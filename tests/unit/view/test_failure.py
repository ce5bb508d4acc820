"""The look of a failed task's stack."""

from __future__ import annotations

from scenes import HOSTILE

from nbray.postmortem import Frame, Local
from nbray.view.failure import failure_html, failure_text, traceback_html

FRAMES = [
    Frame("Cell In[3]", 9, "<module>", ((8, "x = 0"), (9, "f(x)")), (Local("x", "int", "0"),)),
    Frame("/lib/python3.11/json.py", 4, "loads", library=True),
    Frame("Cell In[2]", 2, "f", ((2, "1 / x"),), (Local("x", "int", "0"),
          Local("big", "ndarray", "ndarray 9 of int", b"", "it is too large")), left_out=3),
]  # fmt: skip


def test_the_selected_frame_is_open_and_libraries_are_folded() -> None:
    html = failure_html("ValueError: v", "in f on lab", FRAMES, 2, "Traceback\n  ...", "a note")
    assert html.count("<details open") == 1
    assert html.count('class="nbray-library"') == 1
    assert "<mark>    2  1 / x</mark>" in html
    assert "it is too large" in html
    assert "3 more names" in html
    assert "The whole traceback" in html
    assert "a note" in html


def test_the_text_shows_all_frames_and_the_selected_ones_locals() -> None:
    text = failure_text("ValueError: v", "in f", FRAMES, 2, "full")
    lines = text.splitlines()
    assert lines[:2] == ["ValueError: v", "  in f"]
    assert "  0  Cell In[3], line 9" in lines
    assert "  1  /lib/python3.11/json.py, line 4 in loads  (library)" in lines
    assert "> 2  Cell In[2], line 2 in f" in lines
    assert "      ->    2  1 / x" in lines
    assert "      x   = 0" in lines


def test_hostile_text_is_escaped() -> None:
    frame = Frame(HOSTILE, 1, HOSTILE, ((1, HOSTILE),), (Local(HOSTILE, HOSTILE, HOSTILE),))
    assert "<script" not in failure_html(HOSTILE, HOSTILE, [frame], 0, HOSTILE, HOSTILE)
    assert "<script" not in traceback_html(HOSTILE, 1, 1)


def test_without_frames_the_text_is_there() -> None:
    assert "the words" in failure_text("WorkerCrashedError", "", [], -1, "the words")
    assert "the words" in failure_html("WorkerCrashedError", "", [], -1, "the words")


def test_a_whole_traceback_is_one_folded_line() -> None:
    html = traceback_html("line 1\n  line 2", 7, 4)
    assert "<b>Full traceback</b> · 7 frames, 4 of libraries" in html
    assert "line 1\n  line 2" in html
    assert "<details open" not in html
