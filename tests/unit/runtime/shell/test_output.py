"""What a worker has printed, in order, as messages; and what came past Python."""

from __future__ import annotations

import io
from typing import Any

from nbray.runtime.shell.output import Origin, Output
from nbray.wire.messages import Displayed, Printed


class Raw:
    """Descriptors that a test fills."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str]] = []

    def grown(self) -> bool:
        return bool(self.written)

    def read(self) -> list[tuple[str, str]]:
        written, self.written = self.written, []
        return written


def sent(output: Output) -> list[tuple[Any, ...]]:
    """(job, cell, text or data) of each message."""
    found = []
    for effect in output.take():
        message = effect.message
        what = message.text if isinstance(message, Printed) else message.data
        found.append((effect.to, message.cell, what))
    return found


def test_adjacent_text_is_joined_and_the_order_kept() -> None:
    origin = Origin(7, "c", "f")
    output = Output(1, lambda: origin)
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
    output = Output(1, lambda: None)
    stream = output.stream("stdout", fallback)
    stream.write("nobody's\n")
    assert fallback.getvalue() == "nobody's\n"
    output.publish({}, {}, "", False)
    assert not output.pending()
    assert not stream.isatty()


def test_what_c_code_wrote_before_comes_before() -> None:
    raw = Raw()
    output = Output(1, lambda: Origin(7, "c", "f"), raw)  # type: ignore[arg-type]
    output.add("stdout", "one\n")
    raw.written.append(("stdout", "two\n"))
    assert output.pending()
    output.add("stdout", "three\n")
    raw.written.append(("stderr", "four\n"))
    assert [text for _, _, text in sent(output)] == ["one\ntwo\nthree\n", "four\n"]


def test_raw_text_can_be_given_to_the_task_before() -> None:
    raw = Raw()
    output = Output(1, lambda: Origin(7, "second", "f"), raw)  # type: ignore[arg-type]
    raw.written.append(("stdout", "of the first\n"))
    output.drain(Origin(7, "first", "f"))
    output.add("stdout", "of the second\n")
    assert [(cell, text) for _, cell, text in sent(output)] == [
        ("first", "of the first\n"), ("second", "of the second\n"),
    ]


def test_displays_carry_their_identity() -> None:
    output = Output(1, lambda: Origin(7, "c", "f"))
    output.publish({"text/plain": "x"}, {"a": 1}, "id", True)
    (effect,) = output.take()
    message = effect.message
    assert isinstance(message, Displayed)
    assert (message.display_id, message.update, message.metadata) == ("id", True, {"a": 1})
