"""Files on disk: without a name, mapped by others, given back in parts."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nbray.runtime.store.files import DiskFile
from nbray.runtime.store.segments import MEMFD, Segment, SegmentGone, segment_path
from nbray.wire.messages import ON_DISK

MB = 1 << 20
pytestmark = pytest.mark.skipif(not MEMFD, reason="the files have names there")


@pytest.fixture
def file(tmp_path: Path) -> DiskFile:
    return DiskFile(16 * MB, 1, str(tmp_path), str(tmp_path))


def attach(file: DiskFile) -> Segment:
    return Segment.attach(file.number, segment_path(file.number, os.getpid(), ""))


def test_what_is_written_is_read_and_mapped(file: DiskFile, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    assert file.number & ON_DISK
    data = os.urandom(MB)
    file.write(3 * MB, data)
    assert file.read(3 * MB, MB) == data
    mapped = attach(file)
    assert bytes(mapped.readonly(3 * MB, MB)) == data
    mapped.fill(5 * MB, [(0, b"small"), (MB, data)])
    assert file.read(5 * MB, 5) == b"small"
    assert file.read(6 * MB, MB) == data
    file.close()
    assert bytes(mapped.readonly(3 * MB, MB)) == data


def test_a_closed_file_is_gone_for_who_comes_later(file: DiskFile, tmp_path: Path) -> None:
    path = segment_path(file.number, os.getpid(), "")
    file.close()
    other = DiskFile(MB, 2, str(tmp_path), str(tmp_path))  # under the same descriptor
    with pytest.raises(SegmentGone):
        Segment.attach(file.number, path)
    other.close()


def test_a_range_that_is_given_back_takes_no_room(file: DiskFile) -> None:
    file.write(0, bytes(8 * MB))
    descriptor = file._descriptor
    before = os.fstat(descriptor).st_blocks
    file.punch(0, 4 * MB)
    if os.fstat(descriptor).st_blocks == before:
        pytest.skip("this disk takes nothing back")
    assert file.read(0, 4) == bytes(4)
    file.close()


def test_a_file_that_somebody_cut_short_is_an_error(file: DiskFile) -> None:
    os.truncate(f"/proc/self/fd/{file._descriptor}", MB)
    with pytest.raises(OSError, match="shorter"):
        file.read(0, 2 * MB)
    file.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        DiskFile(MB, 1, str(tmp_path / "none"), str(tmp_path))
