"""Where on disk there is room."""

from __future__ import annotations

import pytest

from nbray.runtime.core.effects import DropFile, Reclaim
from nbray.runtime.core.node.store.disk import Disk, NeedFile, NoDisk

MB = 1 << 20


@pytest.fixture
def disk() -> Disk:
    disk = Disk("/spill", file=10 * MB)
    assert disk.place(MB) == NeedFile(10 * MB)
    disk.file_added(1, 10 * MB)
    return disk


def test_objects_share_a_file_and_large_ones_get_their_own(disk: Disk) -> None:
    assert [disk.place(MB) for _ in range(2)] == [(1, 0), (1, MB)]
    assert disk.place(20 * MB) == NeedFile(20 * MB)
    disk.validate()


def test_room_is_used_again_only_when_the_disk_has_it_back(disk: Disk) -> None:
    assert disk.place(4 * MB) == (1, 0)
    assert disk.place(4 * MB) == (1, 4 * MB)
    disk.release(1, 0, 4 * MB)
    assert disk.effects() == [Reclaim(1, 0, 4 * MB)]
    assert disk.effects() == []
    assert isinstance(disk.place(4 * MB), NeedFile)
    disk.reclaimed(1, 0)
    disk.validate()
    assert disk.place(4 * MB) == (1, 0)


def test_a_file_in_which_nothing_lies_is_dropped(disk: Disk) -> None:
    disk.place(4 * MB)
    disk.place(4 * MB)
    disk.release(1, 0, 4 * MB)
    disk.release(1, 4 * MB, 4 * MB)
    assert disk.effects() == [Reclaim(1, 0, 4 * MB), DropFile(1)]
    disk.reclaimed(1, 0)  # done before the file was closed
    assert (disk.used, len(disk)) == (0, 0)
    disk.validate()


def test_a_file_that_came_for_nobody_is_dropped(disk: Disk) -> None:
    disk.drop_empty()
    assert disk.effects() == [DropFile(1)]


def test_bounds_are_kept(disk: Disk) -> None:
    disk.limit = 3 * MB
    assert disk.place(2 * MB) == (1, 0)
    refused = disk.place(2 * MB)
    assert isinstance(refused, NoDisk)
    assert "NBRAY_SPILL_LIMIT" in refused.reason
    disk.limit, disk.left = 0, 2 * MB
    assert disk.place(MB) == (1, 2 * MB)
    refused = disk.place(2 * MB)
    assert isinstance(refused, NoDisk)
    assert "object_spilling_directory" in refused.reason
