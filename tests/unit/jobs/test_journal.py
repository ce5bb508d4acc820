"""A job's output on disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nbray.events import Display, Output
from nbray.jobs import journal
from nbray.jobs.journal import Journal


def text(line: str) -> Output:
    return Output("c", 1, "lab", 9, "f", "stdout", line)


def test_what_was_added_is_read_from_any_place(tmp_path: Path) -> None:
    book = Journal(tmp_path / "jobs" / "a")
    assert book.read(0) == ([], 0)
    shown = Display("c", 1, "lab", 9, "f", {"text/plain": "x", "image/png": "aGk="}, {}, "id")
    book.add(text("one\n"))
    book.add(shown)
    events, middle = book.read(0)
    assert events == [text("one\n"), shown]
    assert book.read(middle) == ([], middle)
    book.add(text("zwei \u00e9\n"))
    assert book.read(middle) == ([text("zwei \u00e9\n")], book.end)
    assert (tmp_path / "jobs" / "a").stat().st_mode & 0o777 == 0o600
    book.close()
    book.add(text("late"))
    assert not (tmp_path / "jobs" / "a").exists()


def test_much_comes_in_pieces_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST", 500)
    book = Journal(tmp_path / "a")
    for i in range(100):
        book.add(text(f"{i}\n"))
    found: list[str] = []
    position, rounds = 0, 0
    while position < book.end:
        events, position = book.read(position)
        found += [event.text for event in events if isinstance(event, Output)]
        rounds += 1
    assert found == [f"{i}\n" for i in range(100)]
    assert rounds > 5
    book.close()


def test_it_goes_on_behind_what_a_dead_process_left(tmp_path: Path) -> None:
    first = Journal(tmp_path / "a")
    first.add(text("one\n"))
    with (tmp_path / "a").open("ab") as torn:
        torn.write(b"\x00\x00\x01\x00half")  # it died while it wrote
    again = Journal(tmp_path / "a", again=True)
    again.add(text("two\n"))
    assert again.read(0)[0] == [text("one\n"), text("two\n")]
    assert Journal(tmp_path / "a").read(0) == ([], 0)


class FullDisk:
    """Writes as a disk does on which *room* bytes are left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, descriptor: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 30, 100, 333])
def test_a_full_disk_loses_nothing_that_memory_can_keep(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Journal(tmp_path / "a")
    disk = FullDisk(monkeypatch, room)
    wanted = [text(f"line {n}\n") for n in range(20)]
    for event in wanted:
        book.add(event)
    events, position = book.read(0)
    assert events == wanted
    assert position == book.end
    _, middle = Journal.read(book, 0)
    disk.room = 1 << 20
    book.add(text("there is room again\n"))
    assert book.read(middle)[0] == [text("there is room again\n")]
    assert book.read(0)[0][:20] == wanted
    assert (tmp_path / "a").stat().st_size == book.end
    book.close()


def test_what_memory_cannot_keep_either_is_dropped_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEPT", 1000)
    book = Journal(tmp_path / "a")
    FullDisk(monkeypatch, 0)
    for _ in range(200):
        book.add(text("x" * 20))
    *kept, last = book.read(0)[0]
    assert 5 < len(kept) < 50
    assert isinstance(last, Output)
    assert "the disk is full" in last.text
    book.close()


def test_a_disk_without_a_place_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_place(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", no_place)
    book = Journal(tmp_path / "jobs" / "a")
    book.add(text("one\n"))
    assert book.read(0)[0] == [text("one\n")]
    book.close()
