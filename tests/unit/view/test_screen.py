"""A terminal of lines: what progress bars and programs leave on it."""

from __future__ import annotations

from nbray.view.screen import Screen


def shown(*pieces: str, keep: int = 100) -> list[str]:
    screen = Screen(keep)
    for order, piece in enumerate(pieces):
        screen.feed(piece, False, order)
    return [line.text for line in screen.tail(1000)]


def test_lines_come_as_they_are_printed() -> None:
    assert shown("a\nb", "c\n\n d\n") == ["a", "bc", "", " d"]


def test_a_carriage_return_draws_over() -> None:
    assert shown("10 %\r50 %", "\r100 %\n", "next\r\n") == ["100 %", "next"]
    assert shown("long line\rshort\n") == ["shortline"]
    assert shown("gone\r\x1b[Kx\n") == ["x"]


def test_a_bar_is_one_line_whatever_it_prints() -> None:
    screen = Screen(10)
    for step in range(1000):
        screen.feed(f"\r{step / 10:5.1f}%|####", True, step)
    assert [line.text for line in screen.unended()] == [" 99.9%|####"]
    assert screen.count == 1
    screen.feed("\n", True, 1001)
    assert (screen.ended, screen.count) == (1, 1)


def test_nested_bars_stay_two_lines() -> None:
    # What tqdm writes for a bar at position 1: down, the bar, up again.
    pieces = ["\router 0", "\n", "\rinner 0", "\x1b[A", "\router 1", "\n\rinner 1\x1b[A", "\n\n"]
    assert shown(*pieces) == ["outer 1", "inner 1"]


def test_colours_stay_in_the_text_and_other_escapes_go() -> None:
    assert shown("\x1b[31mred\x1b[0m\x1b]0;title\x07 x\n") == ["\x1b[31mred\x1b[0m x"]


def test_backspaces_and_moves() -> None:
    assert shown("abc\x08\x08X\n", "a\x1b[3Cb\n", "abc\x1b[2Dx\n") == ["aXc", "a   b", "axc"]


def test_only_the_last_lines_are_kept_and_all_are_counted() -> None:
    screen = Screen(5)
    screen.feed("".join(f"{i}\n" for i in range(100_000)), False, 1)
    assert screen.count == 100_000
    assert [line.text for line in screen.tail(2)] == ["99998", "99999"]
    assert len(screen.tail(100)) == 5


def test_the_two_streams_have_a_cursor_each() -> None:
    screen = Screen(10)
    screen.feed("\r 10 %", True, 1)
    screen.feed("said\n", False, 2)
    screen.feed("oops", True, 3)
    assert [line[1:] for line in screen.tail(9)] == [("said", False), (" 10 %oops", False)]


def test_what_is_drawn_over_is_a_bar_and_no_error() -> None:
    screen = Screen(10)
    screen.feed("an error\n\r100 %|###\nanother\n", True, 1)
    assert [line[1:] for line in screen.tail(9)] == [
        ("an error", True), ("100 %|###", False), ("another", True),
    ]
