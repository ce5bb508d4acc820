"""Shared memory: what one process writes another reads, and views say when they end."""

from __future__ import annotations

import collections
import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbray.refs import ObjectRef
from nbray.runtime.store.mappings import Mappings
from nbray.runtime.store.segments import GRAIN, MEMFD, Segment, SegmentGone, segment_path
from nbray.wire.messages import Slot
from nbray.wire.pickling import pack, unpack

SIZE = 1 << 20
ROOT = Path(__file__).parents[4]


@pytest.fixture(params=[pytest.param(True, id="memfd"), pytest.param(False, id="file")])
def segment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Segment]:
    if request.param and not MEMFD:
        pytest.skip("this system has no memfd")
    segment = Segment.create(SIZE, 1, str(tmp_path), memfd=request.param)
    yield segment
    segment.close()
    assert list(tmp_path.iterdir()) == []


def test_another_process_sees_the_same_bytes(segment: Segment) -> None:
    segment.view(4096, 5)[:] = b"hello"
    program = textwrap.dedent("""
        import sys
        from nbray.runtime.store.segments import Segment
        number, path, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
        segment = Segment.attach(number, path, size)
        print(bytes(segment.readonly(4096, 5)).decode())
        segment.view(0, 3)[:] = b"yes"
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(segment.id), segment.path, str(SIZE)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "hello\n"
    assert bytes(segment.view(0, 3)) == b"yes"


def test_release_comes_once_when_the_last_view_goes(segment: Segment) -> None:
    ended: collections.deque[str] = collections.deque()
    view = segment.readonly(4096, 4096, lambda: ended.append("x"))
    array = np.frombuffer(view, dtype="u1")
    half = array[10:20]
    del view, array
    gc.collect()
    assert not ended
    thread = threading.Thread(target=half.sum)
    thread.start()
    thread.join(60)
    assert not half.flags.writeable
    del half, thread
    gc.collect()
    assert list(ended) == ["x"]


def test_views_of_one_slot_end_independently(segment: Segment) -> None:
    ended: list[int] = []
    views = [segment.readonly(0, 10, lambda n=n: ended.append(n)) for n in range(3)]  # type: ignore[misc]
    del views[1]
    assert ended == [1]
    views.clear()
    assert sorted(ended) == [0, 1, 2]


def test_read_only_is_read_only(segment: Segment) -> None:
    view = segment.readonly(0, 10)
    assert view.readonly
    assert view.format == "B"
    with pytest.raises(TypeError, match="read-only"):
        view[0] = 1


def test_views_outlive_the_segment_object(tmp_path: Path) -> None:
    segment = Segment.create(SIZE, 2, str(tmp_path))
    segment.view(0, 3)[:] = b"abc"
    view = segment.readonly(0, 3)
    segment.close()
    segment.close()
    del segment
    gc.collect()
    assert bytes(view) == b"abc"


def test_a_dropped_segment_cannot_be_attached(segment: Segment) -> None:
    assert Segment.attach(segment.id, segment.path).size == SIZE
    segment.close()
    with pytest.raises(SegmentGone):
        Segment.attach(segment.id, segment.path)


@pytest.mark.skipif(not MEMFD, reason="descriptors name segments only with memfd")
def test_a_descriptor_used_again_is_not_mistaken() -> None:
    first = Segment.create(SIZE, 3)
    first.close()
    second = Segment.create(SIZE, 4)
    try:
        assert second.path == first.path
        with pytest.raises(SegmentGone, match="dropped"):
            Segment.attach(first.id, first.path)
        assert Segment.attach(second.id, second.path).id == second.id
    finally:
        second.close()
    read, write = os.pipe()
    try:
        with pytest.raises(SegmentGone):
            Segment.attach(second.id, second.path)
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.skipif(not MEMFD, reason="files go when they are unlinked")
def test_dropping_frees_memory_that_others_still_map() -> None:
    segment = Segment.create(SIZE, 5)
    descriptor = os.open(segment.path, os.O_RDWR)
    mapped = Segment.attach(segment.id, segment.path)
    try:
        segment.view(0, SIZE)[:] = bytes([1]) * SIZE
        assert os.fstat(descriptor).st_blocks * 512 >= SIZE
        segment.discard(0, SIZE)
        assert os.fstat(descriptor).st_blocks * 512 < SIZE // 10
        assert mapped.size == SIZE
    finally:
        os.close(descriptor)
        segment.close()


@pytest.mark.parametrize("size", [1, 1000, GRAIN, SIZE - 8192, SIZE - 8192 - 3])
def test_filling_is_the_same_at_every_size_and_time(segment: Segment, size: int) -> None:
    attached = Segment.attach(segment.id, segment.path)
    for times in range(1, 4):  # by the system first, then by copying
        data = random.Random(times).randbytes(size)
        attached.fill(4096, [(0, b"head"), (64, memoryview(data))])
        assert bytes(segment.view(4096, 4)) == b"head"
        assert bytes(segment.view(4096 + 64, size)) == data
        assert not any(segment.view(4096 + 64 + size, 100))


def test_writing_goes_through_the_map_where_this_process_has_written(segment: Segment) -> None:
    data = bytes([1]) * (4 * GRAIN)
    assert not segment._is_touched(GRAIN, len(data))
    assert segment._is_touched(GRAIN, len(data))
    assert segment._is_touched(2 * GRAIN, 1)
    assert not segment._is_touched(4 * GRAIN, 2 * GRAIN)
    assert not Segment.attach(segment.id, segment.path)._is_touched(GRAIN, 1)


def test_filling_what_was_dropped_is_an_error(segment: Segment) -> None:
    attached = Segment.attach(segment.id, segment.path)
    segment.close()
    with pytest.raises(SegmentGone):
        attached.fill(0, [(0, bytes(GRAIN))])


def test_a_descriptor_of_filling_is_closed(segment: Segment) -> None:
    if not MEMFD:
        pytest.skip("descriptors are counted in /proc")
    attached = Segment.attach(segment.id, segment.path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    attached.fill(0, [(0, bytes(GRAIN)), (GRAIN, bytes(GRAIN))])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_size_that_cannot_be_had_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises((OSError, OverflowError, ValueError)):
        Segment.create(1 << 62, 6, str(tmp_path), memfd=False)
    assert list(tmp_path.iterdir()) == []


# A client's mappings


def test_slots_as_memory(segment: Segment) -> None:
    folder = str(Path(segment.path).parent)
    assert segment_path(segment.id, os.getpid(), folder) == segment.path
    mappings = Mappings(os.getpid(), folder)
    value: dict[str, Any] = {"a": np.arange(1000), "b": b"x" * 100_000}
    packed = pack(value)
    slot = Slot(1, segment.id, 8192, packed.size, 1)
    mappings.fill(slot, packed.pieces())
    ended: list[bool] = []

    def restore(owner: int, seq: int) -> ObjectRef[object]:
        raise AssertionError("there is no reference inside")

    back = unpack(mappings.readonly(slot, lambda: ended.append(True)), restore)
    assert np.array_equal(back["a"], value["a"])
    mappings.close()
    assert not ended
    assert back["a"][5] == 5
    del back
    gc.collect()
    assert ended == [True]


def test_mappings_keep_a_bounded_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nbray.runtime.store.mappings._KEPT", 2)
    segments = [Segment.create(4096, serial, str(tmp_path)) for serial in range(1, 5)]
    try:
        mappings = Mappings(os.getpid(), str(tmp_path))
        views = []
        for segment in segments:
            slot = Slot(1, segment.id, 0, 10, 1)
            mappings.fill(slot, [(0, b"%010d" % segment.id)])
            views.append(mappings.readonly(slot))
        assert len(mappings._segments) == 2
        assert [int(bytes(view)) for view in views] == [segment.id for segment in segments]
    finally:
        for segment in segments:
            segment.close()
    with pytest.raises(SegmentGone):
        mappings.readonly(Slot(1, segments[0].id, 0, 10, 1))


def test_views_alive_at_the_interpreters_end_are_quiet() -> None:
    program = textwrap.dedent("""
        from nbray.runtime.store.segments import Segment
        segment = Segment.create(4096, 1)
        kept = segment.readonly(0, 10, lambda: print("released"))
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
