"""The full text of what tasks printed: kept, counted, found again."""

from __future__ import annotations

from nbray.events import Output
from nbray.jupyter.printed.logs import (
    BOXED,
    IN_MEMORY,
    KEPT,
    MOVING,
    RECENT_CELLS,
    REMEMBERED,
    Log,
    Logs,
)


def out(text, cell="c", pid=1, node="lab", stream="stdout"):
    return Output(cell, 1 if node == "lab" else 2, node, pid, "f", stream, text)


def test_every_line_is_there_also_past_what_memory_holds():
    logs = Logs()
    line = "x" * 99
    for _ in range(100):
        logs.add(out(f"{line}\n" * 300))
    log = logs.get("c")
    assert IN_MEMORY < 30_000 * 100
    assert log.file._rolled
    assert len(log.lines()) == 30_000
    assert {line.text for _, line in log.lines()} == {line}
    log.add(out("more\n"))
    assert [line.text for _, line in log.lines()][-1] == "more"


def test_workers_and_nodes_are_found_over_all_cells():
    logs = Logs()
    logs.add(out("a\n", "c1", 1))
    logs.add(out("b\n", "c1", 2))
    logs.add(out("c\n", "c2", 1))
    logs.add(out("d\n", "c2", 1, node="gpu"))
    assert [line.text for _, line in logs.workers("2")] == ["b"]
    assert [line.text for _, line in logs.workers("lab")] == ["a", "b", "c"]
    assert [line.text for _, line in logs.workers("gpu:1")] == ["d"]
    assert logs.workers("nobody") == []


def test_what_is_shown_is_the_last_lines_of_all_in_order():
    log = Logs().add(out("a1\na2\n"))
    log.add(out("b1\n", pid=2))
    log.add(out("a3\n"))
    log.add(out("\rbar 10%", pid=2, stream="stderr"))
    printed = log.printed("In[1]", 3, moving=True)
    assert [line.text for _, line in printed.recent] == ["b1", "a3", "bar 10%"]
    assert [worker.count for worker in printed.workers] == [3, 2]
    assert printed.label == "In[1]"


def test_fewer_lines_are_shown_while_they_come():
    log = Logs().add(out("x\n" * 1000))
    assert len(log.printed("", 5, moving=True).workers[0].lines) == MOVING
    assert len(log.printed("", 5, moving=False).workers[0].lines) == KEPT


def test_old_cells_are_forgotten_and_their_files_closed():
    logs = Logs()
    first = logs.add(out("x" * (IN_MEMORY + 1), "first"))
    for number in range(REMEMBERED):
        logs.add(out("x", str(number)))
    assert len(logs) == REMEMBERED
    assert logs.get("first") is None
    assert first.file.closed


def test_a_log_is_its_text_and_shows_in_a_box():
    log = Logs().add(out("\x1b[31ma\x1b[0m\n"))
    shown = Log(log.lines())
    assert shown == "a\n"
    assert repr(shown) == "a"
    log.add(out("b\n", pid=2))
    assert Log(log.lines()) == "[lab · pid 1] a\n[lab · pid 2] b\n"
    assert "nbray-c1" in Log(log.lines())._repr_html_()


def test_a_very_long_log_shows_its_end():
    log = Logs().add(out("x\n" * (BOXED + 5)))
    shown = Log(log.lines())
    assert "5 earlier lines: print(_) has them" in shown._repr_html_()
    assert shown.count("\n") == BOXED + 5


def packed(logs):
    return [bool(logs._cells[cell]._packed) for cell in logs.cells()]


def test_only_the_last_cells_are_kept_ready():
    logs = Logs()
    for number in range(3 * RECENT_CELLS):
        logs.add(out("x\n", str(number)))
    assert packed(logs) == [True] * 2 * RECENT_CELLS + [False] * RECENT_CELLS
    first = logs._cells["0"]
    assert first._file is None
    assert not first._screens
    assert not first._index


def test_a_packed_log_is_what_it_was():
    plain, log = Logs().add(out("a1\na2\n")), Logs().add(out("a1\na2\n"))
    for one in (plain, log):
        one.add(out("b1\n\udcff", pid=2))
        one.add(out("a3\n", stream="stderr"))
        one.add(out("\rbar 10%", pid=2, stream="stderr"))
    log.pack()
    log.pack()
    assert log.size == plain.size == (6, 2)
    assert log._packed
    assert log.lines() == plain.lines()
    log.pack()
    assert log.printed("", 9, moving=False).workers == plain.printed("", 9, moving=False).workers
    log.pack()
    for one in (plain, log):
        one.add(out("\rbar 20%", pid=2, stream="stderr"))
        one.add(out("a4\n"))
    assert [line.text for _, line in log.printed("", 9, moving=True).recent] == [
        line.text for _, line in plain.printed("", 9, moving=True).recent
    ]
    assert log.lines() == plain.lines()


def test_text_in_a_file_stays_there():
    log = Logs().add(out("x" * (IN_MEMORY + 1)))
    log.pack()
    assert not log._packed
    assert len(log.lines()[0][1].text) == IN_MEMORY + 1
