"""Large copies: right with any number of threads, over when they return, whatever happens."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

from nbray.runtime.store import copying

KB = 1 << 10


@pytest.fixture
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four threads from 4 KB on, and pieces of 8 KB."""
    monkeypatch.setattr(copying, "SMALL", KB)
    monkeypatch.setattr(copying, "SHARE", 2 * KB)
    monkeypatch.setattr(copying, "PIECE", 8 * KB)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(4), raising=False)


@pytest.mark.usefixtures("small_shares")
@pytest.mark.parametrize("size", [0, 1, KB, KB + 1, 4 * KB, 4 * KB + 1, 100 * KB - 7, 1000 * KB])
def test_every_byte_arrives_and_no_other_is_touched(size: int) -> None:
    source = random.Random(size).randbytes(size)
    target = bytearray(size + 20)
    copying.copy(memoryview(target)[10 : size + 10], memoryview(source))
    assert target[10 : size + 10] == source
    assert not any(target[:10])
    assert not any(target[size + 10 :])


def test_large_copies_as_they_are() -> None:
    source = random.Random(1).randbytes(5 * copying.SHARE // 2)
    target = bytearray(len(source))
    copying.copy(memoryview(target), memoryview(source))
    assert target == source


def test_threads_follow_size_and_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    share = copying.SHARE
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(3), raising=False)
    assert [copying.threads_for(n * share) for n in (0, 1, 2, 3, 9)] == [1, 1, 2, 3, 3]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64), raising=False)
    assert copying.threads_for(100 * share) == copying.THREADS
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert copying.threads_for(100 * share) == 1


@pytest.mark.usefixtures("small_shares")
def test_nothing_is_written_after_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    address, move = copying._tools()
    moves: list[str] = []
    main = threading.current_thread()

    def slow(to: int, start: int, length: int) -> None:
        if threading.current_thread() is main:
            raise KeyboardInterrupt
        time.sleep(0.05)
        move(to, start, length)
        moves.append(threading.current_thread().name)

    monkeypatch.setattr(copying, "_tools", lambda: (address, slow))
    source, target = bytes([1]) * (256 * KB), bytearray(256 * KB)
    with pytest.raises(KeyboardInterrupt):
        copying.copy(memoryview(target), memoryview(source))
    done, after = len(moves), bytes(target)
    assert not [thread for thread in threading.enumerate() if thread.name == "nbray-copy"]
    time.sleep(0.1)
    assert len(moves) == done <= 3
    assert bytes(target) == after


@pytest.mark.usefixtures("small_shares")
def test_an_interrupt_while_waiting_for_the_others_comes_after_them() -> None:
    class Stubborn:
        lives = 3

        def is_alive(self) -> bool:
            return self.lives > 0

        def join(self) -> None:
            self.lives -= 1
            raise KeyboardInterrupt

    thread: Any = Stubborn()
    with pytest.raises(KeyboardInterrupt):
        copying._join([thread])
    assert thread.lives == 0


@pytest.mark.usefixtures("small_shares")
def test_without_threads_one_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    source, target = random.Random(2).randbytes(100 * KB), bytearray(100 * KB)
    copying.copy(memoryview(target), memoryview(source))
    assert target == source


def test_neither_numpy_nor_ctypes_is_needed_for_less() -> None:
    program = textwrap.dedent("""
        import sys
        from nbray.runtime.store import copying
        target = bytearray(1000)
        copying.copy(memoryview(target), memoryview(bytes(1000)))
        print(sorted({"numpy", "ctypes"} & set(sys.modules)))
        large = bytearray(copying.SMALL + 1)
        copying.copy(memoryview(large), memoryview(bytes(len(large))))
        print("numpy" in sys.modules)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\nFalse\n", "")
