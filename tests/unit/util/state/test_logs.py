"""What is given of a log, and what comes of it while it grows."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from nbray.util.state import logs

RED = "\x1b[31mred\x1b[0m"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(ended="")
    monkeypatch.setattr(logs, "connected", lambda address: nullcontext((made, True)))
    return made


def test_half_a_character_waits_for_its_other_half(engine: SimpleNamespace) -> None:
    whole = "grün\n".encode()
    lengths = iter([3, 3, 4, 6])

    def read(_: object) -> str:
        length = next(lengths)
        engine.ended = "over" if length == len(whole) else ""
        return whole[:length].decode(errors="replace")

    pieces = list(logs._pieces(None, read, -1, 0.001, False))  # type: ignore[arg-type]
    assert "".join(pieces) == "grün\n"


def test_the_last_lines_without_colours(engine: SimpleNamespace) -> None:
    def read(_: object) -> str:
        return f"one\n{RED}\nthree\n"

    pieces = logs._pieces(None, read, 2, 0.0, True)  # type: ignore[arg-type]
    assert list(pieces) == ["red\nthree\n"]


def test_colours_stay_out_of_what_comes_later(engine: SimpleNamespace) -> None:
    texts = iter(["one\n", f"one\n{RED}\n"])

    def read(_: object) -> str:
        text = next(texts)
        engine.ended = "over" if RED in text else ""
        return text

    pieces = logs._pieces(None, read, -1, 0.001, True)  # type: ignore[arg-type]
    assert list(pieces) == ["one\n", "red\n"]
