"""Values as bytes: round trips, references, read-only arrays, and errors that name the part."""

from __future__ import annotations

import datetime as dt
import io
import pickle
import threading
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import pytest

from nbray.refs import ObjectRef
from nbray.wire import pickling
from nbray.wire.pickling import (
    Packed,
    pack,
    pack_call,
    unpack,
)


def ref(owner: int, seq: int) -> ObjectRef[Any]:
    return ObjectRef(owner, seq, None, None)  # type: ignore[arg-type]


def written(packed: Packed) -> bytes:
    target = bytearray(packed.size + 16)
    for place, piece in packed.pieces():
        view = memoryview(piece)
        target[place : place + view.nbytes] = view
    assert not any(target[packed.size :])
    return bytes(target[: packed.size])


def round_trip(value: Any) -> Any:
    packed = pack(value)
    data = packed.join()
    assert len(data) == packed.size
    assert written(packed) == data
    return unpack(data, ref)


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**80),
        1.5,
        "text",
        "é" * 70_000,
        b"",
        b"x" * 10,
        b"x" * 70_000,
        bytearray(b"y" * 70_000),
        bytearray(b"y"),
        (),
        (1, "a", None),
        [1.0, b"b"],
        {"a": 1, 2: "b"},
        {"a": {"b": [1, (2, {3})]}},
        list(range(1000)),
        Point(1, 2),
        dt.date(2024, 1, 2),
        {1, 2},
        [b"x" * 200_000, {"k": b"z" * 70_000}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_equal_and_of_the_same_type(value: Any) -> None:
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)


def test_a_value_without_buffers_is_a_bare_pickle() -> None:
    data = pack({"a": 1}).join()
    assert data[0] == 0x80
    assert pickle.loads(data) == {"a": 1}


@pytest.mark.parametrize(
    "array",
    [
        np.arange(5),
        np.zeros(0),
        np.array(3.5),
        np.arange(100_000, dtype="f4"),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.arange(20)[::3],
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.array(["2024-01-01"], dtype="M8[D]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["one", "two"]),
        np.arange(10).astype("m8[s]")[::2],
        np.array(5, dtype=">M8[s]"),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: {"deep": [a]}], ids=["bare", "inside"])
def test_arrays_come_back_equal_and_read_only(array: Any, wrap: Any) -> None:
    back = round_trip(wrap(array))
    if isinstance(back, dict):
        back = back["deep"][0]
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)
    assert not back.flags.writeable


def test_object_arrays_come_back() -> None:
    array = np.array([{"a": 1}, None, "x"], dtype=object)
    assert list(round_trip(array)) == list(array)


def test_buffers_are_aligned_and_not_copied() -> None:
    arrays = [np.arange(3, dtype="u1"), np.arange(100_000), np.arange(7, dtype="f4")]
    packed = pack(arrays)
    assert [buffer.nbytes for buffer in packed.buffers] == [array.nbytes for array in arrays]
    arrays[1][0] = 77
    data = packed.join()
    back = unpack(data, ref)
    assert back[1][0] == 77
    base = np.frombuffer(data, dtype="u1").__array_interface__["data"][0]
    for array in back:
        address = array.__array_interface__["data"][0]
        assert (address - base) % 64 == 0
        assert base <= address < base + len(data)


def test_large_views_are_not_copied_and_never_writable() -> None:
    data = bytearray(pack(np.arange(100_000)).join())
    back = unpack(memoryview(data), ref)
    assert not back.flags.writeable
    with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
        back.flags.writeable = True
    with pytest.raises(BufferError):
        data.extend(b"x")  # the array still holds it


def test_a_small_array_does_not_hold_the_message_it_came_in() -> None:
    message = bytearray(b"xxx" + pack(np.arange(10)).join())
    back = unpack(memoryview(message)[3:], ref)
    message.extend(b"free")
    assert list(back) == list(range(10))


def test_large_bytes_are_not_copied_by_pack() -> None:
    value = bytearray(100_000)
    packed = pack(value)
    value[0] = 9
    back = unpack(packed.join(), ref)
    assert type(back) is bytearray
    assert back[0] == 9


def test_references_are_noted_in_order_and_rebuilt() -> None:
    value = {"a": ref(5, 1), "b": [ref(6, 2), ref(5, 1)]}
    packed = pack(value)
    assert packed.refs[:2] == ((5, 1), (6, 2))
    made: list[tuple[int, int]] = []

    def restore(owner: int, seq: int) -> ObjectRef[Any]:
        made.append((owner, seq))
        return ref(owner, seq)

    assert unpack(packed.join(), restore) == value
    assert set(made) == {(5, 1), (6, 2)}


def test_a_reference_cannot_be_unpickled_outside() -> None:
    data = pack([ref(1, 2)]).join()
    with pytest.raises(TypeError, match="ObjectRef"):
        pickle.loads(data)
    unpack(pack([1]).join(), ref)
    with pytest.raises(TypeError, match="ObjectRef"):
        pickle.loads(data)


class Nested:
    """Unpacks another value while it is itself unpacked."""

    def __reduce__(self) -> Any:
        return _unpack_inner, (pack([ref(9, 9)]).join(),)


def _unpack_inner(data: bytes) -> Any:
    return unpack(data, lambda owner, seq: ref(owner + 100, seq))


def test_the_innermost_unpack_restores() -> None:
    inner, outer = round_trip([Nested(), ref(1, 1)])
    assert inner == [ref(109, 9)]
    assert outer == ref(1, 1)


def test_each_thread_has_its_own_unpack() -> None:
    data = pack(ref(1, 1)).join()
    found: list[Any] = []

    def restore(owner: int, seq: int) -> ObjectRef[Any]:
        def other() -> None:
            try:
                pickle.loads(data)
            except TypeError as error:
                found.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(60)
        return ref(owner, seq)

    assert unpack(data, restore) == ref(1, 1)
    assert len(found) == 1


@pytest.mark.parametrize("cut", [1, 15, 20, 60])
def test_corrupt_data_is_a_value_error(cut: int) -> None:
    data = pack(np.arange(1000)).join()
    with pytest.raises(ValueError, match="pickled value"):
        unpack(data[:cut], ref)
    with pytest.raises(ValueError, match="cannot begin"):
        unpack(b"\x07" + data[1:], ref)


# Calls


def test_no_arguments_are_no_bytes() -> None:
    packed, refs = pack_call((), {}, "f")
    assert packed.join() == b""
    assert packed.size == 0
    assert refs == []
    assert unpack(b"", ref) == ((), {})
    assert pack_call([], {}, "g")[0] is packed


def test_references_that_are_arguments_are_taken_out() -> None:
    first, second, inside = ref(1, 1), ref(1, 2), ref(1, 3)
    packed, refs = pack_call((first, 5, [inside]), {"x": second, "y": "z"}, "f")
    assert refs == [(0, first), ("x", second)]
    assert packed.refs == ((1, 3),)
    assert unpack(packed.join(), ref) == ((None, 5, [inside]), {"x": None, "y": "z"})


def test_array_arguments_come_back_read_only() -> None:
    packed, _ = pack_call((np.arange(4), 1), {"k": np.arange(20)[::2]}, "f")
    args, kwargs = unpack(packed.join(), ref)
    assert not args[0].flags.writeable
    assert not kwargs["k"].flags.writeable
    assert list(kwargs["k"]) == list(range(0, 20, 2))


def test_the_callers_keywords_are_left_alone() -> None:
    kwargs = {"x": ref(1, 1)}
    pack_call((), kwargs, "f")
    assert kwargs == {"x": ref(1, 1)}


# Errors


class Holder:
    def __init__(self, thing: Any) -> None:
        self.thing = thing


class Slotted:
    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing


class Grumpy:
    def __reduce__(self) -> Any:
        raise RuntimeError("not today")


def test_an_unpicklable_argument_is_named() -> None:
    with pytest.raises(TypeError, match=r"^argument 2 of f cannot be pickled: it is a thread lock"):
        pack_call((1, threading.Lock()), {}, "f")
    with pytest.raises(TypeError, match=r"argument 'x' of f .* in attribute 'thing'"):
        pack_call((1,), {"x": Holder(threading.Lock())}, "f")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, {"k": threading.Lock()}], "a thread lock in key 'k' in element 1"),
        (Slotted(threading.RLock()), "a thread lock in attribute 'thing'"),
        (Holder(x for x in "a"), r"a generator in attribute 'thing'.*pass list\(...\)"),
        (Grumpy(), "Grumpy .*not today.*create it inside the task"),
        (ref, None),
    ],
    ids=["containers", "slots", "generator", "reduce", "fine"],
)
def test_the_guilty_part_is_named(value: Any, words: str | None) -> None:
    if words is None:
        pack(value)
        return
    with pytest.raises(TypeError, match=words) as caught:
        pack(value, "the result of f")
    assert str(caught.value).startswith("the result of f cannot be pickled")


def test_too_deep_a_value_is_a_type_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="nested too deeply"):
        pack(deep)
    while deep:
        deep = deep[0]


def test_what_cloudpickle_reads_is_what_pack_writes() -> None:
    data = pack({"f": lambda: 7}).join()
    assert cloudpickle.load(io.BytesIO(data))["f"]() == 7
    assert pickling.MAGIC != 0x80
