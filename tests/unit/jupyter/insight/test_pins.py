"""Who in the notebook holds which object."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from nbray.details import HoldingRecord, ObjectRecord
from nbray.jupyter.insight.pins import (
    COPY,
    HISTORY,
    TRACEBACK,
    VARIABLE,
    Search,
    forget_history,
    pins,
)
from nbray.refs import ObjectRef


def ref(seq):
    return ObjectRef(1, seq, None, None)


def places(user_ns, **more):
    """{seq: [(kind, place)]} of what is found."""
    found = pins(user_ns, [], **more)
    return {key[1]: [(pin.kind, pin.place) for pin in some] for key, some in found.items()}


def test_variables_and_what_is_in_them():
    class Box:
        pass

    Box.__module__ = "__main__"
    box = Box()
    box.ref = ref(5)
    captured = ref(6)
    ns = {
        "one": ref(1), "many": [ref(2), {"k": (ref(3),)}], "some": {ref(4)}, "box": box,
        "f": lambda: captured, "text": "x", "__hidden": ref(9), "sys": sys,
    }  # fmt: skip
    assert places(ns) == {
        1: [(VARIABLE, "one")], 2: [(VARIABLE, "many[0]")], 3: [(VARIABLE, "many[1]['k'][0]")],
        4: [(VARIABLE, "some{...}")], 5: [(VARIABLE, "box.ref")], 6: [(VARIABLE, "f (closure)")],
    }


def test_history_is_told_apart():
    shown = ref(1)
    ns = {"_oh": {3: shown, 4: [shown]}, "_3": shown, "_": shown, "Out": {3: shown}, "x": 1}
    assert places(ns) == {1: [(HISTORY, "Out[3]"), (HISTORY, "Out[4][0]"), (HISTORY, "_")]}


def test_remote_cells_copies_are_named():
    assert places({}, copies={"big": ref(7)}) == {7: [(COPY, "%%remote's copy of big")]}


def test_arrays_over_the_stores_memory():
    memory = np.zeros(1000, "u1")
    start = memory.__array_interface__["data"][0]
    record = HoldingRecord(ObjectRecord(1, 8, 2, 500, [1], 1, 0), [], [], 1, start + 100)
    search = Search([record])
    assert list(search.below([memory[150:200], memory[:50], memory[700:]], "x")) == [
        ((1, 8), "x[0]")
    ]


def test_loops_and_depth_end():
    loop = []
    loop.append(loop)
    deep = ref(1)
    for _ in range(50):
        deep = [deep]
    assert places({"loop": loop, "deep": deep}) == {}


def test_the_last_traceback(monkeypatch):
    def failing():
        kept = ref(2)
        raise ValueError(kept)

    with pytest.raises(ValueError) as caught:
        failing()
    monkeypatch.setattr(sys, "last_traceback", caught.tb, raising=False)
    (pin,) = pins({}, [])[1, 2]
    assert (pin.kind, pin.base) == (TRACEBACK, "the last traceback (kept in failing)")


def test_forgetting_history(shell):
    drops = []
    made = [ObjectRef(1, n, None, drops.append) for n in range(4)]
    shell.user_ns.update(kept=made[0])
    for number, value in enumerate([made[0], made[1], "text", made[2]], 1):
        shell.user_ns["_oh"][number] = shell.user_ns[f"_{number}"] = value
    shell.user_ns["_"] = shell.displayhook._ = made[2]
    shell.user_ns["__"] = shell.displayhook.__ = "text"
    del made[1:], value
    assert forget_history(shell, []) == 3
    assert sorted(key[1] for key in drops) == [1, 2, 3]
    assert shell.user_ns["_oh"] == {3: "text"}
    assert "_1" not in shell.user_ns
    assert shell.user_ns["_3"] == "text"
    assert (shell.user_ns["_"], shell.user_ns["__"]) == ("", "text")
    assert shell.user_ns["kept"] is made[0]
    assert forget_history(shell, []) == 0
