"""The last lines printed: in order, bounded, of a cell, with words."""

from __future__ import annotations

import time

from details import DRIVER, NOW, details
from scenes import cluster

from nbray import details as d
from nbray.view.names import Names, cell_key
from nbray.view.tail import tail

TEXTS = (
    d.TextRecord(1, 7, "a", DRIVER, "load", "stdout", "one\ntwo\n"),
    d.TextRecord(2, 8, "b", DRIVER, "fit", "stderr", "\x1b[31m50 %\r100 %\x1b[0m\n"),
)
NAMES = Names(cluster(), details(texts=TEXTS))


def lines(limit: int = 10, cell: str = "", words: tuple[str, ...] = ()) -> list[str]:
    found = details(texts=TEXTS)
    return [line for _, line, _ in tail(found, Names(cluster(), found), limit, cell, words)[0]]


def test_they_come_oldest_first_as_a_terminal_would_show_them() -> None:
    assert lines() == ["one", "two", "100 %"]
    found = details(texts=TEXTS)
    shown, more = tail(found, Names(cluster(), found), 2)
    assert shown == [
        ("host1 · pid 7 · load", "two", False), ("host2 · pid 8 · fit ", "100 %", False),
    ]  # fmt: skip
    assert more


def text(piece: str, at: float = 0.0, pid: int = 7, stream: str = "stdout") -> d.TextRecord:
    return d.TextRecord(1, pid, "a", DRIVER, "f", stream, piece, at)


def told(*texts: d.TextRecord, limit: int = 100, wall: float = 0.0) -> list[str]:
    found = details(texts=texts, wall=wall)
    return [f"{who.rstrip()}|{line}" for who, line, _ in tail(found, NAMES, limit)[0]]


def test_a_bar_that_was_drawn_many_times_is_one_line_and_no_error() -> None:
    bar = [text(f"\r{percent:3}%|###", stream="stderr") for percent in range(101)]
    found = details(texts=[text("before\n"), *bar, text("after\n", pid=8)])
    lines, more = tail(found, NAMES, 100)
    assert [(line, error) for _, line, error in lines] == [
        ("before", False), ("after", False), ("100%|###", False),
    ]  # fmt: skip
    assert not more


def test_a_line_printed_in_pieces_is_one() -> None:
    assert told(text("half, "), text("other\n", pid=8), text("whole\n")) == [
        "host1 · pid 8 · f|other", "host1 · pid 7 · f|half, whole",
    ]  # fmt: skip


def test_several_drivers_lines_are_in_the_order_of_time() -> None:
    shown = told(text("late\n", 9.0), text("early\n", 2.0, pid=8), text("last\n", 9.5))
    assert [line.partition("|")[2] for line in shown] == ["early", "late", "last"]


def test_the_time_of_day_stands_first_where_it_is_known() -> None:
    one = told(text("x\n", NOW - 60), wall=1_700_000_000.0)[0]
    expected = time.strftime("%H:%M:%S", time.localtime(1_700_000_000.0 - 60))
    assert one == f"{expected}  host1 · pid 7 · f|x"


def test_only_the_last_pieces_are_read() -> None:
    many = [text(f"line {n}\n") for n in range(20_000)]
    found = details(texts=many)
    lines, more = tail(found, NAMES, 10)
    assert [line for _, line, _ in lines] == [f"line {n}" for n in range(19_990, 20_000)]
    assert more


def test_of_a_cell_or_with_words() -> None:
    assert lines(cell=cell_key(DRIVER, "b")) == ["100 %"]
    assert lines(words=("load", "o")) == ["one", "two"]
    assert lines(words=("host2",)) == ["100 %"]
