"""A job's output on disk."""

from __future__ import annotations

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
