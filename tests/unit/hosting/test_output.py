"""What a worker has printed, in order, as messages; and what came past Python."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

from nbray.config import PRINTED_AHEAD
from nbray.hosting.output import MOST_TEXT, Origin, Output, Shown


class Raw:
    """Descriptors that a test fills."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str]] = []

    def grown(self) -> bool:
        return bool(self.written)

    def read(self, most: int) -> list[tuple[str, str]]:
        return [self.written.pop(0)] if self.written else []


def _kept(origin: Origin, stream: str, what: str | Shown) -> tuple[Any, ...]:
    """As it is: nothing travels here."""
    return origin, stream, what


def sent(output: Output[Any]) -> list[tuple[Any, ...]]:
    """(job, cell, text or data) of each message."""
    return [
        (origin.job, origin.cell, what.data if isinstance(what, Shown) else what)
        for origin, _, what in output.take()
    ]


def test_adjacent_text_is_joined_and_the_order_kept() -> None:
    origin = Origin(7, "c", "f")
    output = Output(_kept, lambda: origin)
    output.add("stdout", "a")
    output.add("stdout", "b\n")
    output.publish({"text/plain": "x"}, {}, "", False)
    output.add("stdout", "c\n")
    output.add("stderr", "d\n")
    assert sent(output) == [
        (7, "c", "ab\n"), (7, "c", {"text/plain": "x"}), (7, "c", "c\n"), (7, "c", "d\n"),
    ]
    assert not output.pending()


def test_without_a_task_it_goes_where_it_would_have_gone() -> None:
    fallback = io.StringIO()
    output = Output(_kept, lambda: None)
    stream = output.stream("stdout", fallback)
    stream.write("nobody's\n")
    assert fallback.getvalue() == "nobody's\n"
    output.publish({}, {}, "", False)
    assert not output.pending()
    assert not stream.isatty()


def test_what_c_code_wrote_before_comes_before() -> None:
    raw = Raw()
    output = Output(_kept, lambda: Origin(7, "c", "f"), raw)  # type: ignore[arg-type]
    output.add("stdout", "one\n")
    raw.written.append(("stdout", "two\n"))
    assert output.pending()
    output.add("stdout", "three\n")
    raw.written.append(("stderr", "four\n"))
    assert [text for _, _, text in sent(output)] == ["one\ntwo\nthree\n", "four\n"]


def test_raw_text_can_be_given_to_the_task_before() -> None:
    raw = Raw()
    output = Output(_kept, lambda: Origin(7, "second", "f"), raw)  # type: ignore[arg-type]
    raw.written.append(("stdout", "of the first\n"))
    output.drain(Origin(7, "first", "f"))
    output.add("stdout", "of the second\n")
    assert [(cell, text) for _, cell, text in sent(output)] == [
        ("first", "of the first\n"), ("second", "of the second\n"),
    ]


def test_displays_carry_their_identity() -> None:
    output = Output(_kept, lambda: Origin(7, "c", "f"))
    output.publish({"text/plain": "x"}, {"a": 1}, "id", True)
    ((origin, stream, shown),) = output.take()
    assert (origin, stream) == (Origin(7, "c", "f"), "")
    assert isinstance(shown, Shown)
    assert (shown.display_id, shown.update, shown.metadata) == ("id", True, {"a": 1})


class Driver:
    """Takes what is pushed, and shows it when it is told to."""

    def __init__(self, output: Output[Any], *, shows: bool) -> None:
        self.output = output
        self.shows = shows
        self.texts: list[str] = []
        self.most = 0
        self.waited = threading.Event()
        output.push = self.push

    def push(self) -> bool:
        self.texts += [text for _, _, text in self.output.take()]
        self.most = max(self.most, sum(map(len, self.texts)))
        if self.shows:
            self.output.shown(7, sum(map(len, self.texts)))
        self.waited.set()
        return True


@pytest.mark.parametrize("size", [MOST_TEXT - 1, MOST_TEXT + 1, 10 * MOST_TEXT + 3])
def test_one_large_piece_leaves_in_short_messages(size: int) -> None:
    output = Output(_kept, lambda: Origin(7, "c", "f"))
    driver = Driver(output, shows=True)
    output.add("stdout", "x" * size)
    driver.push()
    assert sum(map(len, driver.texts)) == size
    assert max(map(len, driver.texts)) <= MOST_TEXT


def test_who_prints_faster_than_it_is_shown_waits_and_loses_nothing() -> None:
    output = Output(_kept, lambda: Origin(7, "c", "f"))
    driver = Driver(output, shows=False)
    total = 4 * PRINTED_AHEAD

    def work() -> None:
        for number in range(total // 1000):
            output.add("stdout", f"{number:999}\n")

    thread = threading.Thread(target=work)
    thread.start()
    assert driver.waited.wait(60)
    assert driver.most <= PRINTED_AHEAD + MOST_TEXT
    driver.shows = True
    output.shown(7, driver.most)
    thread.join(60)
    assert not thread.is_alive()
    driver.push()
    lines = "".join(driver.texts).splitlines()
    assert [int(line) for line in lines] == list(range(total // 1000))


def test_nobody_waits_for_a_driver_that_is_dead() -> None:
    output = Output(_kept, lambda: Origin(7, "c", "f"))
    Driver(output, shows=False)
    output.gone = lambda job: job == 7
    for _ in range(10):
        output.add("stdout", "x" * PRINTED_AHEAD)


def test_a_thread_that_drives_the_sockets_never_waits() -> None:
    output = Output(_kept, lambda: Origin(7, "c", "f"))  # its push says so
    for _ in range(10):
        output.add("stdout", "x" * PRINTED_AHEAD)
    assert sum(len(text) for _, _, text in output.take()) == 10 * PRINTED_AHEAD


def test_what_c_code_wrote_waits_in_its_file_while_the_driver_is_behind() -> None:
    raw = Raw()
    raw.written = [("stdout", "x" * MOST_TEXT)] * 20
    output = Output(_kept, lambda: Origin(7, "c", "f"), raw)  # type: ignore[arg-type]
    first = output.take()
    assert output.behind()
    assert sum(len(text) for _, _, text in first) <= PRINTED_AHEAD + MOST_TEXT
    assert output.take() == []
    output.shown(7, 100 * PRINTED_AHEAD)
    output.push = lambda: bool(output.shown(7, PRINTED_AHEAD)) or True
    output.drain()
    assert not output.behind()


def test_displays_count_too() -> None:
    output = Output(_kept, lambda: Origin(7, "c", "f"))
    driver = Driver(output, shows=True)
    driver.push = lambda: bool(output.take()) or not output.shown(7, PRINTED_AHEAD)  # type: ignore[method-assign]
    output.push = driver.push
    for _ in range(5):
        output.publish({"text/html": "x" * PRINTED_AHEAD}, {}, "", False)


@pytest.mark.parametrize("text", ["\ud83d\ude00" * 1000, "\ud83d" * 1000, "\N{GRINNING FACE}\n"])
def test_what_a_driver_counts_is_what_was_counted_here(text: str) -> None:
    output = Output(_kept, lambda: Origin(7, "c", "f"))
    output.add("stdout", text)
    for _, _, kept in output.take():
        output.shown(7, len(kept) - 1)
    assert output._ahead[7] == 1
