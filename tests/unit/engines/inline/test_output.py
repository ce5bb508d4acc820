"""Prints of tasks under the inline engine."""

from __future__ import annotations

import sys
import threading

from nbray.engines.inline.output import Outputs


def test_without_a_sink_text_goes_where_it_went(capsys):
    with Outputs("host").of("cell", "task"):
        print("plain")
    assert capsys.readouterr().out == "plain\n"


def test_lines_go_to_the_sink_and_nothing_is_lost(capsys):
    seen = []
    outputs = Outputs("host")
    outputs.sink = seen.append
    with outputs.of("cell", "task"):
        print("one")
        print("two", end="")
        print("oops", file=sys.stderr)
        assert [output.text for output in seen] == ["one\n", "oops\n"]
    assert [(o.cell, o.task, o.stream, o.text) for o in seen] == [
        ("cell", "task", "stdout", "one\n"),
        ("cell", "task", "stderr", "oops\n"),
        ("cell", "task", "stdout", "two"),
    ]
    print("after")
    assert capsys.readouterr() == ("after\n", "")


def test_nested_tasks_have_their_own_lines():
    seen = []
    outputs = Outputs("host")
    outputs.sink = seen.append
    stream = sys.stdout
    with outputs.of("cell", "outer"):
        print("a", end="")
        with outputs.of("cell", "inner"):
            print("b")
        print("c")
    assert [(o.task, o.text) for o in seen] == [("inner", "b\n"), ("outer", "ac\n")]
    assert sys.stdout is stream


def test_other_threads_print_as_before(capsys):
    seen = []
    outputs = Outputs("host")
    outputs.sink = seen.append
    with outputs.of("cell", "task"):
        thread = threading.Thread(target=print, args=("beside",))
        thread.start()
        thread.join()
    assert seen == []
    assert capsys.readouterr().out == "beside\n"
