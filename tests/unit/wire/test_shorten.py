"""Errors that are too large to travel keep their class, and say what was left out."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nbray.config import MOST_ERROR
from nbray.exceptions import RayTaskError
from nbray.wire.failures import pack_error, unpack_error
from nbray.wire.shorten import cut, label, plain

LARGE = MOST_ERROR + 1000


class Rows(ValueError):
    def __init__(self, rows: Any, where: str) -> None:
        super().__init__(f"bad rows in {where}")
        self.rows = rows
        self.where = where


class Chatty(Exception):
    def __str__(self) -> str:
        return "x" * LARGE


def group() -> Exception:
    return ExceptionGroup("g" * LARGE, [KeyError("k" * LARGE), OSError(2, "o" * LARGE, "f")])


def undecodable() -> Exception:
    return UnicodeDecodeError("utf-8", bytes(LARGE), 7, 9, "no")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: ValueError("x" * LARGE), ValueError),
        (lambda: KeyError("bad rows", np.zeros(LARGE), {"a": [bytes(LARGE)]}), KeyError),
        (lambda: Rows(np.zeros(LARGE), "here"), ValueError),
        (lambda: OSError(2, "x" * LARGE, "y" * LARGE), FileNotFoundError),
        (lambda: StopIteration(list(range(LARGE // 3))), StopIteration),
        (lambda: ValueError(*["x" * 1000] * 20_000), ValueError),
        (Chatty, Exception),
        (group, ExceptionGroup),
        (undecodable, UnicodeDecodeError),
    ],
)
def test_a_large_error_is_short_and_of_its_class(
    make: Callable[[], Exception], kind: type[Exception]
) -> None:
    def work() -> None:
        raise make()

    try:
        work()
    except Exception as error:
        data = pack_error(error, "work", "node", 7)
    assert len(data) < 2 * MOST_ERROR
    found = unpack_error(data)
    assert isinstance(found, RayTaskError)
    assert isinstance(found, kind) or kind is ExceptionGroup
    assert "work" in str(found)
    assert len(str(found)) < MOST_ERROR


def test_what_is_kept_and_what_stands_for_the_rest() -> None:
    data = pack_error(Rows(np.zeros(LARGE), "here"), "work", "node", 7)
    cause = unpack_error(data).cause  # type: ignore[attr-defined]
    assert cause.where == "here"
    assert "ndarray of 33 MB, left out" in cause.rows
    small = pack_error(ValueError("x" * 1000, b"y" * 100_000), "work", "node", 7)
    assert unpack_error(small).cause.args == ("x" * 1000, b"y" * 100_000)  # type: ignore[attr-defined]


def test_texts_and_names() -> None:
    assert cut("abc", 3) == "abc"
    assert "999,990 characters are left out" in cut("x" * 1_000_000, 10)
    assert label("x" * 10, 10) == "x" * 10
    assert label("x" * 11, 10) == "x" * 9 + "\N{HORIZONTAL ELLIPSIS}"
    assert [plain(n) for n in (0, 999, 65_536, 80_000_000, 3 * 10**12)] == [
        "0 bytes", "999 bytes", "65 KB", "80 MB", "3000 GB",
    ]
    assert pickle.loads(pickle.dumps(cut("\ud800" * 10, 4))).count("\ud800") == 4
