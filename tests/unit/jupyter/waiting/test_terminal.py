"""Bars drawn over in a terminal; nothing is left of unfinished ones."""

from __future__ import annotations

import io

from scenes import DONE, RUNNING

from nbray.jupyter.waiting.terminal import TerminalBars


def screen(written: str) -> list[str]:
    """What a terminal would show of *written*."""
    lines: list[str] = [""]
    rest = written
    while rest:
        if rest.startswith("\x1b["):
            end = next(i for i, char in enumerate(rest[2:], 2) if char.isalpha())
            code, rest = rest[2 : end + 1], rest[end + 1 :]
            if code.endswith("F"):
                kept = len(lines) - 1 - int(code[:-1])
                lines = [*lines[:kept], ""]
            else:
                assert code == "J"
        elif rest[0] == "\n":
            lines.append("")
            rest = rest[1:]
        else:
            lines[-1] += rest[0]
            rest = rest[1:]
    assert lines[-1] == ""
    return lines[:-1]


def test_bars_are_drawn_over_and_the_last_ones_stay() -> None:
    out = io.StringIO()
    out.write("before\n")
    bars = TerminalBars(out)
    bars.draw(RUNNING, 106.0, 10.0)
    bars.draw(RUNNING, 108.0, 20.0)
    bars.end(DONE, 109.0, 20.0)
    lines = screen(out.getvalue())
    assert lines[0] == "before"
    assert [line.split("  ")[0] for line in lines[1:]] == ["1,000 of 1,000", "laptop", "lab-gpu"]
    bars.draw(RUNNING, 110.0, 1.0)
    assert len(screen(out.getvalue())) == 10


def test_unfinished_bars_are_erased() -> None:
    out = io.StringIO()
    bars = TerminalBars(out)
    bars.draw(RUNNING, 106.0, 10.0)
    bars.keep(RUNNING, 106.0, 10.0)
    bars.erase()
    assert screen(out.getvalue()) == []


def test_the_same_bars_are_written_once() -> None:
    out = io.StringIO()
    bars = TerminalBars(out)
    bars.draw(RUNNING, 106.0, 10.0)
    size = len(out.getvalue())
    bars.draw(RUNNING, 106.0, 10.0)
    assert len(out.getvalue()) == size
