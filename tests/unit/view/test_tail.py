"""The last lines printed: in order, bounded, of a cell, with words."""

from __future__ import annotations

from details import DRIVER, details
from scenes import cluster

from nbray import details as d
from nbray.view.names import Names, cell_key
from nbray.view.tail import tail

TEXTS = (
    d.TextRecord(1, 7, "a", DRIVER, "load", "stdout", "one\ntwo\n"),
    d.TextRecord(2, 8, "b", DRIVER, "fit", "stderr", "\x1b[31m50 %\r100 %\x1b[0m\n"),
)


def lines(limit: int = 10, cell: str = "", words: tuple[str, ...] = ()) -> list[str]:
    found = details(texts=TEXTS)
    return [line for _, line, _ in tail(found, Names(cluster(), found), limit, cell, words)[0]]


def test_they_come_oldest_first_as_a_terminal_would_show_them() -> None:
    assert lines() == ["one", "two", "100 %"]
    found = details(texts=TEXTS)
    shown, more = tail(found, Names(cluster(), found), 2)
    assert shown == [("host1 · pid 7 · load", "two", False), ("host2 · pid 8 · fit", "100 %", True)]
    assert more


def test_of_a_cell_or_with_words() -> None:
    assert lines(cell=cell_key(DRIVER, "b")) == ["100 %"]
    assert lines(words=("load", "o")) == ["one", "two"]
    assert lines(words=("host2",)) == ["100 %"]
