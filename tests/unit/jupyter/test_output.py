"""Prefixes of what tasks print."""

from nbray.events import Output
from nbray.jupyter.output import REMEMBERED, Router


def said(*pieces):
    written = []
    router = Router(lambda cell, text, stream: written.append((cell, text, stream)))
    for cell, pid, text in pieces:
        router(Output(cell, 1, "lab", pid, "f", "stdout", text))
    return written


def test_one_worker_has_no_prefix():
    assert said(("c", 1, "a\n"), ("c", 1, "b\n")) == [
        ("c", "a\n", "stdout"),
        ("c", "b\n", "stdout"),
    ]


def test_a_second_worker_brings_prefixes():
    texts = [text for _, text, _ in said(("c", 1, "a\n"), ("c", 2, "b\nc\n"), ("c", 1, "d\n"))]
    assert texts == ["a\n", "[lab 2] b\n[lab 2] c\n", "[lab 1] d\n"]


def test_cells_are_apart():
    texts = [text for _, text, _ in said(("c", 1, "a\n"), ("d", 2, "b\n"))]
    assert texts == ["a\n", "b\n"]


def test_an_open_line_is_closed_before_another_worker_speaks():
    texts = [text for _, text, _ in said(("c", 1, "a"), ("c", 2, "b"), ("c", 2, "c\n"))]
    assert "".join(texts) == "a\n[lab 2] bc\n"


def test_streams_are_kept_and_empty_text_is_nothing():
    written = []
    router = Router(lambda cell, text, stream: written.append((text, stream)))
    router(Output("c", 1, "lab", 1, "f", "stderr", "oops\n"))
    router(Output("c", 1, "lab", 1, "f", "stdout", ""))
    assert written == [("oops\n", "stderr")]


def test_old_cells_are_forgotten():
    router = Router(lambda cell, text, stream: None)
    for number in range(REMEMBERED + 50):
        router(Output(str(number), 1, "lab", 1, "f", "stdout", "x"))
    assert len(router._cells) == REMEMBERED
