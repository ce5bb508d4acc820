"""Text and data from outside: what travels as it is, and what becomes of the rest."""

from __future__ import annotations

import enum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbray.text import fitting, forgiving, plain, safe
from nbray.wire import codec
from nbray.wire import messages as m


class Own(str):
    __slots__ = ()


class Named(enum.StrEnum):
    A = "\udce9"


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("plain", "plain"),
        ("héllo \0 \x1b[31m\r\x07", "héllo \0 \x1b[31m\r\x07"),
        ("caf\udce9.txt", "caf\\udce9.txt"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ude00\ud83d", "\\ude00\\ud83d"),
        (Own("own"), "own"),
        (Own("\ud800"), "\\ud800"),
        (Named.A, "\\udce9"),
    ],
)
def test_text_changes_only_where_it_could_not_travel(text: str, becomes: str) -> None:
    assert safe(text) == becomes
    assert type(safe(text)) is str


any_text = st.text(st.characters(), max_size=40)


@given(any_text)
def test_safe_text_has_a_form_in_every_encoding_that_a_stream_may_have(text: str) -> None:
    assert safe(safe(text)) == safe(text)
    safe(text).encode()
    for encoding in ("ascii", "latin-1", "cp1252", "utf-8", "utf-16", "no-such", None):
        said = fitting(text, encoding)
        said.encode("ascii" if encoding == "no-such" else encoding or "utf-8")
        if text.isascii():
            assert said == text


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (10**30, str(10**30)),
        (1 + 2j, "(1+2j)"),
        (Odd(), "<Odd; its repr failed: RuntimeError>"),
        ({("a", 1): {2, 3}}, {"('a', 1)": [2, 3]}),
        ({"k\udce9": ("\udce9", b"\xff", None, 1.5, True)},
         {"k\\udce9": ["\\udce9", b"\xff", None, 1.5, True]}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_strange_data_gets_a_form_that_travels(value: Any, becomes: Any) -> None:
    assert plain(value) == becomes
    encode = forgiving(msgspec.msgpack.Encoder().encode)
    assert msgspec.msgpack.decode(encode([value, "\udce9"])) == [becomes, "\\udce9"]


def test_data_that_holds_itself_travels_too() -> None:
    value: list[Any] = [1]
    value.append(value)
    data = forgiving(msgspec.msgpack.Encoder().encode)(value)
    assert msgspec.msgpack.decode(data)[0] == 1


@given(st.integers(0, 2**70), st.integers())
def test_a_number_that_a_message_counts_with_stays_a_number(one: int, two: int) -> None:
    read = codec.client_decoder().decode(
        codec.encode(m.Printed(one, "", two << 60, "", "", ""))
    )
    assert type(read) is m.Printed
    assert -(1 << 63) <= read.pid <= (1 << 64) - 1
    assert (read.pid > 0, read.pid < 0) == (two > 0, two < 0)


def test_numbers_of_numpy_become_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    found = plain({"a": numpy.float32(0.5), "b": numpy.int64(3), "c": numpy.arange(2)})
    assert found == {"a": 0.5, "b": 3, "c": [0, 1]}


@given(any_text, any_text)
def test_every_message_arrives_whatever_text_is_in_it(one: str, two: str) -> None:
    decode = codec.client_decoder().decode
    printed = m.Printed(1, one, 2, two, "stdout", one + two)
    assert decode(codec.encode(printed)).text == safe(one + two)  # type: ignore[union-attr]
    shown = m.Displayed(1, one, 2, two, {one: two}, {two: {one: [two]}}, one, False)
    assert decode(codec.encode(shown)).data == {safe(one): safe(two)}  # type: ignore[union-attr]
    spec = m.Spec(1, b"", one, 1, b"", two, 1, 0, {one: 1}, two)
    tasks = m.Tasks(1, 1, 1, [1], [b""], {}, [spec])
    assert decode(codec.encode(tasks)).specs[0].name == safe(one)  # type: ignore[union-attr]
