"""Functions and classes as bytes: by value or by name, and what they take along."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
import pytest

from nbray.refs import ObjectRef
from nbray.wire.functions import (
    largest_capture,
    pack_function,
    pack_function_with_refs,
    warn_of_size,
)
from nbray.wire.pickling import unpack


def ref(owner: int, seq: int) -> ObjectRef[Any]:
    return ObjectRef(owner, seq, None, None)  # type: ignore[arg-type]


def by_value(source: str, name: str) -> Any:
    scope: dict[str, Any] = {"__name__": "__main__", "np": np}
    exec(source, scope)
    return scope[name]


def test_functions_of_main_travel_by_value() -> None:
    double = by_value("def double(x): return helper(x)\ndef helper(x): return 2 * x", "double")
    digest, blob = pack_function(double, "double")
    assert len(digest) == 16
    assert unpack(blob, ref)(4) == 8
    assert pack_function(double, "double")[0] == digest


def test_functions_of_modules_travel_by_name() -> None:
    _, blob = pack_function(functools.reduce, "reduce")
    assert len(blob) < 100
    assert unpack(blob, ref) is functools.reduce


def test_captured_references_are_reported() -> None:
    captured = ref(3, 4)
    _, blob, refs = pack_function_with_refs(lambda: captured, "f")
    assert refs == ((3, 4),)
    assert unpack(blob, ref)() == captured


def test_the_largest_capture_is_found() -> None:
    table = np.zeros(1_000_000, dtype="u1")
    little = [1, 2]
    lock = threading.Lock()
    name, size = largest_capture(lambda: (table, little, lock))
    assert name == "table"
    assert 1_000_000 <= size < 1_001_000
    f = by_value("data = 'x' * 5000\ndef f():\n  def g(): return data\n  return g", "f")
    assert largest_capture(f)[0] == "data"
    assert largest_capture(len) == ("", 0)


LARGE = 2_000_000


def with_default(table=bytes(LARGE)): ...


def with_keyword(*, table=bytes(LARGE)): ...


class WithConstant:
    TABLE = bytes(LARGE)

    def method(self): ...


class WithState:
    def __init__(self):
        self.table = bytes(LARGE)

    def method(self): ...


@pytest.mark.parametrize(
    ("call", "name", "advice"),
    [
        (with_default, "'table'", r"give it at the call, table=nbray\.put"),
        (with_keyword, "'table'", r"give it at the call, table=nbray\.put"),
        (WithConstant, r"'WithConstant\.TABLE'", "pass it as an argument"),
        (WithState().method, "'self'", "pass it as an argument"),
        (functools.partial(len, bytes(LARGE)), "'argument 1'", "pass it as an argument"),
        (functools.partial(print, end=bytes(LARGE)), "'end'", "."),
        (by_value(f"data = bytes({LARGE})\ndef f(): return data, __name__", "f"), "'data'",
         r"data = nbray\.put\(data\)"),
    ],
)  # fmt: skip
def test_the_warning_names_what_is_large(call, name, advice) -> None:
    with pytest.warns(UserWarning, match=rf"takes {name} \(.*MB\) along.*{advice}"):
        warn_of_size(call, "it")


def test_no_advice_names_what_is_pythons() -> None:
    f = by_value("def f(): return __name__, __builtins__", "f")
    assert largest_capture(f) == ("", 0)


def test_closures_and_files_are_explained(tmp_path: Any) -> None:
    lock = threading.Lock()
    with (tmp_path / "x").open("w") as handle:

        def locked() -> Any:
            return lock

        def opened() -> Any:
            return handle

        with pytest.raises(TypeError, match="lock in closure variable 'lock'"):
            pack_function(locked, "locked")
        with pytest.raises(TypeError, match=r"function opened .*open file.*pass its path"):
            pack_function(opened, "opened")
