"""Frames as they travel, and how values look in a line."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from nbray.postmortem import Frame, Local, brief, pack_frames, unpack_frames


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
    assert brief([np.zeros(3)]) == "[ndarray 3 of float64]"
    assert brief("a\nb") == "'a\\nb'"


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
