"""Packing of the notebook's values."""

import io
import pickle
import threading

import numpy as np
import pytest

import nbray
from nbray.jupyter.failures.errors import NotebookError
from nbray.jupyter.remote.capture import Capture
from nbray.jupyter.remote.names import CellNames


@pytest.fixture(autouse=True)
def cluster():
    nbray.init(engine="inline")
    yield
    nbray.shutdown()


def pack(capture, user_ns, needed=(), maybe=(), hidden=()):
    names = CellNames(tuple(needed) or tuple(user_ns), tuple(maybe), tuple(maybe))
    return capture.pack(names, user_ns, dict(hidden))


def small(captured):
    return pickle.loads(captured.values.small)


def test_small_values_travel_together():
    shared = [1]
    found = small(pack(Capture(), {"a": shared, "b": {"a": shared}, "c": "text", "d": None}))
    assert found == {"a": [1], "b": {"a": [1]}, "c": "text", "d": None}
    assert found["a"] is found["b"]["a"]


def test_modules_travel_by_name():
    assert small(pack(Capture(), {"io": io, "np": np})) == {"io": io, "np": np}


def test_names_the_notebook_does_not_have_are_left_to_builtins():
    assert pack(Capture(), {}, needed=("print", "nowhere")).values.small == b""


def test_ipythons_own_names_stay_unless_the_user_gave_them_values():
    user_ns = {"open": open, "exit": 3}
    assert small(pack(Capture(), user_ns, hidden={"open": open, "exit": open})) == {"exit": 3}


def test_large_values_are_put_once():
    capture = Capture()
    user_ns = {"image": np.arange(100_000.0), "text": "x" * 100_000}
    first = pack(capture, user_ns)
    assert set(first.values.large) == {"image", "text"}
    assert first.values.small == b""
    assert pack(capture, user_ns).large == first.large
    assert (nbray.get(first.large[0]) == user_ns["image"]).all()


def test_a_large_value_changed_in_place_is_put_again():
    capture = Capture()
    user_ns = {"image": np.arange(100_000.0)}
    first = pack(capture, user_ns)
    user_ns["image"][0] = 7
    second = pack(capture, user_ns)
    assert second.large != first.large
    assert nbray.get(second.large[0])[0] == 7


def test_a_deleted_name_keeps_nothing_alive():
    capture = Capture()
    user_ns = {"image": np.zeros(100_000)}
    pack(capture, user_ns)
    del user_ns["image"]
    pack(capture, user_ns)
    assert not capture._puts


def test_a_new_engine_gets_the_values_anew():
    capture = Capture()
    user_ns = {"image": np.zeros(100_000)}
    pack(capture, user_ns)
    nbray.shutdown()
    nbray.init(engine="inline")
    assert (nbray.get(pack(capture, user_ns).large[0]) == 0).all()


def test_references_travel_as_they_are():
    ref = nbray.put(1)
    found = pack(Capture(), {"ref": ref, "refs": {"a": [ref]}})
    assert found.values.live == {"ref": ref, "refs": {"a": [ref]}}
    assert found.values.small == b""


def test_what_cannot_travel_is_named_in_one_sentence():
    with pytest.raises(NotebookError, match=r"'lock' \(lock\) cannot travel") as caught:
        pack(Capture(), {"lock": threading.Lock()})
    assert "\n" not in str(caught.value)


def test_an_old_value_of_a_name_that_the_cell_binds_may_stay_behind():
    user_ns = {"lock": threading.Lock(), "a": 1}
    assert small(pack(Capture(), user_ns, needed=("a",), maybe=("lock",))) == {"a": 1}
