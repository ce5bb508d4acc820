"""Memory goes back in slices, and a segment is closed when all of it has gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbray.runtime.store import discarding as module
from nbray.runtime.store.discarding import Discarding
from nbray.runtime.store.segments import MEMFD, Segment, SegmentGone

SIZE = 1 << 20
SLICE = 300 * 1024


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", SLICE)


@pytest.mark.skipif(not MEMFD, reason="files go when they are unlinked")
def test_memory_goes_slice_by_slice_though_others_map_it() -> None:
    segments = [Segment.create(SIZE, serial) for serial in (1, 2)]
    descriptors = [os.open(segment.path, os.O_RDWR) for segment in segments]
    mapped = [Segment.attach(segment.id, segment.path) for segment in segments]

    def taken() -> list[int]:
        return [os.fstat(descriptor).st_blocks * 512 for descriptor in descriptors]

    try:
        discarding = Discarding()
        assert not discarding
        discarding.step()
        for segment in segments:
            segment.view(0, SIZE)[:] = bytes([1]) * SIZE
            discarding.add(segment)
        discarding.step()
        assert taken() == [SIZE - SLICE, SIZE]
        for _ in range(3):
            assert Segment.attach(segments[0].id, segments[0].path)
            discarding.step()
        assert taken() == [0, SIZE]
        with pytest.raises(SegmentGone):
            Segment.attach(segments[0].id, segments[0].path)
        for _ in range(4):
            assert discarding
            discarding.step()
        assert not discarding
        assert taken() == [0, 0]
        assert len(mapped) == 2
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_a_file_is_unlinked(tmp_path: Path) -> None:
    discarding = Discarding()
    discarding.add(Segment.create(SIZE, 3, str(tmp_path), memfd=False))
    while discarding:
        discarding.step()
    assert list(tmp_path.iterdir()) == []
