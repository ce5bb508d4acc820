"""References: identity, ends, what they refuse."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import pickle
import types
import weakref

import pytest

from nbray import session
from nbray.refs import ObjectRef


def make(owner=1, seq=2, drop=None):
    return ObjectRef(owner, seq, None, drop)


def test_identity():
    assert make() == make()
    assert make() != make(seq=3)
    assert make() != (1, 2)
    assert len({make(), make(), make(owner=5)}) == 2


def test_hex_and_binary():
    ref = make()
    assert ref.hex() == "00000000000000010000000000000002ffffffffffffffff01000000"
    assert ref.task_id().hex() == ref.hex()[:48]
    assert ref.binary() == bytes.fromhex(ref.hex())
    assert repr(ref) == f"ObjectRef({ref.hex()})"


def test_the_end_is_told_once():
    ends = []
    ref = make(drop=ends.append)
    again = ref
    del ref
    assert ends == []
    del again
    assert ends == [(1, 2)]


def test_no_end_is_told_without_a_drop():
    ref = make()
    del ref


@pytest.mark.parametrize("take", [pickle.dumps, iter, list])
def test_what_a_reference_refuses(take):
    with pytest.raises(TypeError, match="ObjectRef"):
        take(make())


def test_a_copy_is_the_reference_itself_so_that_it_is_counted_once():
    ends = []
    ref = make(drop=ends.append)
    assert copy.copy(ref) is ref
    assert copy.deepcopy({"kept": [ref]})["kept"][0] is ref
    del ref
    assert ends == [(1, 2)]


def test_it_can_be_referred_to_weakly_and_holds_nothing_else():
    ref = make()
    weak = weakref.ref(ref)
    with pytest.raises(AttributeError):
        ref.note = 1
    del ref
    assert weak() is None


def test_subscripted_for_type_hints():
    assert ObjectRef[int]


def test_bars_see_who_awaits(monkeypatch):
    seen = []

    @contextlib.contextmanager
    def watcher():
        seen.append("waits")
        yield
        seen.append("goes on")

    future = concurrent.futures.Future()
    ref = ObjectRef(1, 2, types.SimpleNamespace(future=lambda _: future), None)
    monkeypatch.setattr(session, "_watcher", watcher)

    async def main():
        asyncio.get_running_loop().call_later(0.01, future.set_result, 3)
        return await ref

    assert asyncio.run(main()) == 3
    assert seen == ["waits", "goes on"]
