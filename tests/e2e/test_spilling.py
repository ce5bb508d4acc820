"""A store that holds more than its memory: on disk, with real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import eventually, marked

import nbray as ray
from nbray.experimental.locations import get_object_locations
from nbray.runtime.store.pins import PINS
from nbray.util.state import list_objects

MB = 1 << 20
STORE = 40 * MB
pytestmark = pytest.mark.skipif(not PINS, reason="nothing moves there")


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("spill") / "made"
    ray.init(num_cpus=2, object_store_memory=STORE, object_spilling_directory=folder)
    yield folder
    ray.shutdown()
    assert list(folder.iterdir()) == []


def held(mark: str, kind: str) -> int:
    """Bytes that the session's files of *kind* take: in memory, or on disk."""
    found: dict[tuple[int, int], int] = {}
    for pid in marked(mark):
        try:
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                if kind in str(entry.readlink()):
                    status = entry.stat()
                    found[status.st_dev, status.st_ino] = status.st_blocks * 512
        except OSError:
            continue  # it has ended meanwhile
    return sum(found.values())


def value(number: int, size: int = 4 * MB) -> Any:
    return np.random.default_rng(number).integers(0, 255, size, np.uint8)


def same(number: int, got: Any) -> bool:
    return bool((got == value(number, got.nbytes)).all())


def test_many_times_the_store_is_there_and_memory_stays_within_it(mark: str) -> None:
    @ray.remote
    def check(number: int, got: Any) -> bool:
        return same(number, got)

    in_use = ray.get(ray.put(value(1000)))
    refs = [ray.put(value(number)) for number in range(50)]
    assert held(mark, "/memfd:nbray-") <= 1.1 * STORE
    assert held(mark, "/made/nbray-") >= 50 * 4 * MB - STORE
    assert all(same(number, ray.get(ref)) for number, ref in enumerate(refs))
    assert all(ray.get([check.remote(number, ref) for number, ref in enumerate(refs)]))
    assert same(1000, in_use)
    del refs
    assert eventually(lambda: held(mark, "/made/nbray-") < STORE)
    assert same(1000, in_use)


def test_workers_results_go_to_disk_too_and_are_arguments_from_there(mark: str) -> None:
    @ray.remote
    def make(number: int) -> Any:
        return value(number)

    @ray.remote
    def check(number: int, got: Any) -> bool:
        return same(number, got)

    refs = [make.remote(number) for number in range(30)]
    checks = [check.remote(number, ref) for number, ref in enumerate(refs)]
    assert all(ray.get(checks, timeout=60))


def test_an_object_larger_than_the_store_is_mapped_from_the_disk(mark: str) -> None:
    large = ray.get(ray.put(value(5, STORE + 5 * MB)))
    assert same(5, large)
    assert not large.flags.writeable
    assert held(mark, "/memfd:nbray-") <= 1.1 * STORE


def test_arrays_in_use_fill_the_store_and_stay(mark: str) -> None:
    arrays = [ray.get(ray.put(value(number))) for number in range(30)]
    assert all(same(number, array) for number, array in enumerate(arrays))
    assert held(mark, "/memfd:nbray-") <= 1.1 * STORE


def test_screens_tell_what_is_on_disk_and_in_use_and_who_made_it(folder: Path) -> None:
    refs = [ray.put(value(number)) for number in range(14)]
    array = ray.get(refs[13])
    assert get_object_locations(refs)[refs[0]]["did_spill"]
    found = {one.object_id: one for one in list_objects(limit=100, detail=True)}
    first, last = found[refs[0].hex()], found[refs[13].hex()]
    assert (first.spilled, last.spilled) == (["127.0.0.1"], [])
    assert (first.reference_type, last.reference_type) == ("LOCAL_REFERENCE", "PINNED_IN_MEMORY")
    assert last.pins == 1
    assert first.call_site.startswith(f"{__file__}:")
    assert same(13, array)


def test_what_nobody_refers_to_is_not_written(mark: str) -> None:
    before = held(mark, "/made/nbray-")
    for number in range(40):
        ray.put(value(number))
    assert held(mark, "/made/nbray-") <= before + 8 * MB


def test_what_a_worker_was_reading_when_it_was_killed_moves(mark: str) -> None:
    @ray.remote
    class Reader:
        def read(self, box: list[Any]) -> int:
            self.array = ray.get(box[0])
            return os.getpid()

    ref = ray.put(value(1, 20 * MB))
    reader: Any = Reader.remote()
    os.kill(ray.get(reader.read.remote([ref]), timeout=60), signal.SIGKILL)
    refs = [ray.put(value(number)) for number in range(12)]
    assert same(1, ray.get(ref))
    assert all(same(number, ray.get(one)) for number, one in enumerate(refs))


def test_a_folder_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    ray.shutdown()
    with pytest.raises(ray.exceptions.RaySystemError, match="cannot be spilled to"):
        ray.init(num_cpus=1, object_spilling_directory=blocked)
    ray.init(num_cpus=2, object_store_memory=STORE)
