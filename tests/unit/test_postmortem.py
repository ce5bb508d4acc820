"""Frames as they travel, and how values look in a line."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from nbray.postmortem import (
    HIDDEN,
    Frame,
    Local,
    brief,
    counted,
    inputs,
    pack_frames,
    unasked,
    unpack_frames,
)


def test_frames_travel() -> None:
    local = Local("x", "int", "5", pickle.dumps(5))
    frame = Frame("f.py", 3, "f", ((2, "a"), (3, "b")), (local,), left_out=2)
    assert unpack_frames(pack_frames([frame])) == [frame]
    assert local.value() == 5


def test_nothing_and_nonsense_are_no_frames() -> None:
    assert unpack_frames(b"") == []
    assert unpack_frames(b"nonsense") == []


def test_a_value_that_stayed_says_why() -> None:
    with pytest.raises(ValueError, match="'big' stayed where it was: it is too large"):
        Local("big", "bytes", "b'...'", b"", "it is too large").value()


def test_values_in_a_line() -> None:
    assert brief(5) == "5"
    assert brief("x" * 1000).startswith("'xxx")
    assert len(brief("x" * 1000)) < 200
    assert brief(list(range(1000))) == "[0, 1, 2, 3, 4, 5, ...]"
    assert brief(np.zeros((300, 400))) == "ndarray 300x400 of float64"
    assert brief([np.zeros(300)]) == "[ndarray 300 of float64]"
    assert brief("a\nb") == "'a\\nb'"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.array([[1.5, 2.0], [3.0, 4.0]]), "ndarray 2x2 of float64: [[1.5 2. ] [3. 4. ]]"),
        (np.array([[True], [False]]), "ndarray 2x1 of bool: [[ True] [False]]"),
        (np.array(["a", "b"]), "ndarray 2 of <U1: ['a' 'b']"),
        (np.array([{"k": 1}, None]), "ndarray 2 of object: [{'k': 1}, None]"),
        ({"w": np.arange(3)}, "{'w': ndarray 3 of int64: [0 1 2]}"),
        (np.zeros((0, 3)), "ndarray 0x3 of float64"),
        (np.zeros(17), "ndarray 17 of float64"),
    ],
)
def test_a_small_array_shows_its_values(value: object, says: str) -> None:
    assert brief(value) == says


def test_arrays_elsewhere_and_of_large_elements_do_no_harm() -> None:
    class OnDevice:
        shape, dtype, size, device = (2,), "float32", 2, "cuda:0"

        def tolist(self) -> list[float]:
            raise AssertionError("copied from the device")

    class Lazy(OnDevice):
        device = "cpu"

    assert brief(OnDevice()) == "OnDevice 2 of float32"
    assert brief(Lazy()) == "Lazy 2 of float32"
    assert len(brief(np.array(["x" * 100_000] * 2))) <= 240
    assert len(brief(np.array(["x" * 100_000, 1], dtype=object))) <= 240


def test_a_small_table_shows_its_values() -> None:
    class Table:
        shape, columns = (2, 1), ("a",)

        def to_dict(self, orient: str) -> dict[str, list[int]]:
            assert orient == "list"
            return {"a": [1, 2]}

    assert brief(Table()) == "Table of 2 x 1: {'a': [1, 2]}"


def _framed(given: tuple[str, ...], **texts: str) -> bytes:
    locals_ = tuple(Local(name, "", text) for name, text in texts.items())
    return pack_frames([Frame("f.py", 3, "f", locals=locals_, given=given), Frame("g.py", 1, "g")])


@pytest.mark.parametrize(
    ("alike", "among", "frames", "says"),
    [
        (192, 200, _framed(("i",), i="3"),
         "192 of 200 tasks failed the same way, one of them with i=3"),
        (1500, 1500, b"", "all 1,500 tasks failed the same way"),
        (2, 0, b"nonsense", "2 tasks failed the same way"),
        (2, 9, _framed(("a",), a="x" * 400),
         f"2 of 9 tasks failed the same way, one of them with a={'x' * 37}..."),
        (2, 9, _framed(("a", "b", "c", "d"), a="1", b="2", c="3", d="4", e="5"),
         "2 of 9 tasks failed the same way, one of them with a=1, b=2, c=3, ..."),
        (2, 9, _framed((), e="5"), "2 of 9 tasks failed the same way"),
    ],
)  # fmt: skip
def test_how_many_failed_alike_and_what_one_was_given(
    alike: int, among: int, frames: bytes, says: str
) -> None:
    assert counted(alike, among, frames) == says


def test_hostile_values_do_no_harm() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise KeyError("no")

    class Long:
        def __repr__(self) -> str:
            return "y" * 1_000_000

    loop: list[object] = []
    loop.append(loop)
    assert "its repr failed: KeyError" in brief(Broken())
    assert len(brief(Long())) <= 240
    assert brief(loop)
    assert len(brief({str(i): "z" * 500 for i in range(50)})) <= 240


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("password", "'hunter2'"), ("db_password", "'x'"), ("API_KEY", "'sk-1'"),
        ("self.secret", "b'k'"), ("aws_secret_access_key", "'a'"), ("apikey", "'a'"),
        ("token", "'ghp_0123456789abcdefghij'"), ("hf_token", "'hf_0123456789abcdefghij'"),
        ("credentials", "{'user': 'x'}"),
    ],
)  # fmt: skip
def test_what_is_called_as_secrets_are_is_not_told_unasked(name: str, text: str) -> None:
    assert unasked(name, text) == HIDDEN
    frame = Frame("f.py", 3, "f", (), (Local(name, "str", text, b""),), given=(name,))
    assert inputs(pack_frames([frame])) == f"{name}={HIDDEN}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("token", "'walking'"), ("tokens", "['a long sentence', 'and another']"), ("key", "'k'"),
        ("tokenizer", "<tokenizer of many words>"), ("keys", "[1]"), ("rng_key", "Array([0, 5])"),
        ("password", "None"), ("secrets_found", "3"), ("monkey", "'george'"), ("max_token", "512"),
    ],
)  # fmt: skip
def test_what_only_sounds_like_it_is_told(name: str, text: str) -> None:
    assert unasked(name, text) == text
