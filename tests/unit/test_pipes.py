"""The line that a started program answers by: whole, or not at all."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from nbray.pipes import read_line


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def soon() -> float:
    return time.monotonic() + 30


def test_a_line_in_parts(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"one ")
    rest = threading.Timer(0.05, lambda: os.write(writing, b"line\n"))
    rest.start()
    assert read_line(reading, soon()) == b"one line\n"
    rest.join()
    os.close(writing)


def test_the_end_of_the_stream_before_the_end_of_the_line(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"half")
    os.close(writing)
    assert read_line(reading, soon()) == b""


def test_the_end_of_time(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"half")
    assert read_line(reading, time.monotonic() + 0.01) == b""
    assert read_line(reading, time.monotonic() - 1) == b""
    os.close(writing)
