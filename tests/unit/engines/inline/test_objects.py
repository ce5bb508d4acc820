"""The inline engine's table of objects: counts, values, waiting."""

from __future__ import annotations

import gc
import threading

import pytest

from nbray.engines.inline.objects import Objects
from nbray.exceptions import ObjectLostError
from nbray.wire.pickling import pack, pack_error

OWNER = 5


@pytest.fixture
def freed():
    return []


@pytest.fixture
def objects(freed):
    return Objects(None, OWNER, freed.append)


def put(objects, value):
    ref = objects.new()
    objects.store(ref, pack(value))
    return ref


def get(objects, ref, timeout=60):
    return objects.value(objects.outcome(ref, timeout))


def test_a_value_goes_with_its_last_reference(objects, freed):
    ref = put(objects, "x")
    other = objects.ref(OWNER, ref.seq)
    del ref
    assert get(objects, other) == "x"
    del other
    assert len(objects) == 0
    assert objects.used == 0
    assert freed == [1]


def test_references_inside_values_count(objects):
    inner = put(objects, "inner")
    outer = put(objects, {"inner": inner})
    del inner
    assert len(objects) == 2
    taken = get(objects, outer)["inner"]
    del outer
    assert len(objects) == 1
    assert get(objects, taken) == "inner"
    del taken
    assert len(objects) == 0


def test_a_chain_of_ten_thousand_is_freed(objects):
    ref = put(objects, None)
    for _ in range(10_000):
        ref = put(objects, [ref])
    assert len(objects) == 10_001
    del ref
    assert len(objects) == 0


def test_a_cycle_of_garbage_is_freed(objects):
    box = [put(objects, 1)]
    box.append(box)
    del box
    gc.collect()
    assert len(objects) == 0


def test_an_error_is_raised_by_every_get(objects):
    ref = objects.new()
    objects.fail([ref], pack_error(KeyError("k"), "f", "", 0))
    for _ in range(2):
        with pytest.raises(KeyError):
            get(objects, ref)


def test_the_first_outcome_counts(objects):
    ref = put(objects, 1)
    objects.fail([ref], pack_error(KeyError("late"), "f", "", 0))
    assert get(objects, ref) == 1


def test_an_outcome_for_a_dropped_reference_is_dropped(objects):
    ref = objects.new()
    seq = ref.seq
    del ref
    objects._finish(seq, b"x", (), failed=False)
    assert len(objects) == 0


def test_lost_and_foreign_references(objects):
    for ref in (objects.ref(OWNER, 99), objects.ref(OWNER + 1, 1)):
        with pytest.raises(ObjectLostError):
            get(objects, ref)
        assert objects.is_done(ref)


def test_waiting_for_another_thread(objects):
    first, second = objects.new(), objects.new()
    assert objects.outcome(first, 0.01) is None
    assert objects.wait([first, second], 1, 0.01) == []
    timer = threading.Timer(0.05, lambda: objects.store(second, pack("there")))
    timer.start()
    assert objects.wait([first, second], 1, 10) == [second]
    assert get(objects, second) == "there"
    timer.join()


def test_callbacks_come_once(objects):
    called = []
    ref = objects.new()
    objects.when_done(ref, lambda: called.append("early"))
    assert called == []
    objects.store(ref, pack(1))
    objects.when_done(ref, lambda: called.append("late"))
    assert called == ["early", "late"]
