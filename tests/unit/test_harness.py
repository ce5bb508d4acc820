"""The leak checks find what they are there to find."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from harness import MARK, Traces, assert_nothing_left, eventually, marked, run_directory


def test_a_marked_process_is_found_until_it_ends(mark: str) -> None:
    before = Traces.now(mark)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert eventually(lambda: child.pid in marked(mark))
        with pytest.raises(AssertionError, match=f"process {child.pid}"):
            assert_nothing_left(before, mark, timeout=0)
    assert_nothing_left(before, mark)


def test_a_process_of_another_run_is_none_of_ours(mark: str) -> None:
    other = {**os.environ, MARK: "another"}
    argv = [sys.executable, "-c", "input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env=other) as child:
        assert child.pid not in marked(mark)


def test_a_run_directory_entry_is_found(mark: str) -> None:
    before = Traces.now(mark)
    folder = run_directory() / "left"
    folder.mkdir(parents=True)
    with pytest.raises(AssertionError, match="run directory entry"):
        assert_nothing_left(before, mark, timeout=0)
    folder.rmdir()


def test_a_thread_is_found(mark: str) -> None:
    before = Traces.now(mark)
    hold = threading.Event()
    thread = threading.Thread(target=hold.wait, name="forgotten")
    thread.start()
    with pytest.raises(AssertionError, match="thread forgotten"):
        assert_nothing_left(before, mark, timeout=0)
    hold.set()
    thread.join()
    assert_nothing_left(before, mark)
