"""The store's memory with real processes: given back when idle, and after a writer's death."""

from __future__ import annotations

import errno
import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import eventually, marked

import nbray as ray
from nbray import session
from nbray.runtime.store.segments import MEMFD

MB = 1 << 20
pytestmark = pytest.mark.skipif(not MEMFD, reason="memory is looked at through /proc")


@pytest.fixture(autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def shared(mark: str) -> int:
    """Bytes of memory that the session's segments take."""
    found: dict[int, int] = {}
    for pid in marked(mark):
        try:
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                if str(entry.readlink()).startswith("/memfd:nbray-"):
                    status = entry.stat()
                    found[status.st_ino] = status.st_blocks * 512
        except OSError:
            continue  # it has ended meanwhile
    return sum(found.values())


def used() -> int:
    gc.collect()
    return sum(node.figures.store_used for node in session.require().insight.snapshot().nodes)


@pytest.mark.slow
def test_idle_memory_goes_back_to_the_system(mark: str) -> None:
    small, large = ray.put(np.ones(MB)), ray.put(np.ones(12 * MB))
    assert shared(mark) >= 104 * MB
    del large
    assert shared(mark) >= 104 * MB  # kept for the next one
    ray.put(np.ones(12 * MB))
    assert shared(mark) < 150 * MB
    assert eventually(lambda: shared(mark) < 20 * MB)
    assert (ray.get(small) == 1).all()
    del small
    assert eventually(lambda: shared(mark) == 0)


def test_a_writer_killed_in_the_middle_leaves_its_memory_to_others(mark: str) -> None:
    @ray.remote
    class Writer:
        def pid(self) -> int:
            return os.getpid()

        def write(self) -> None:
            while True:
                ray.put(np.full(12 * MB, 5))

    for _ in range(3):
        writer: Any = Writer.remote()
        pid = ray.get(writer.pid.remote(), timeout=60)
        running = writer.write.remote()
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ray.exceptions.RayActorError):
            ray.get(running, timeout=60)
        del writer, running
        assert eventually(lambda: used() < MB)
        value = ray.get(ray.put(np.full(12 * MB, 6)))
        assert (value == 6).all()
        del value
    assert shared(mark) < 500 * MB


def test_memory_that_the_system_does_not_have_is_a_named_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("nbray.runtime.store.segments.write", refuse)
        with pytest.raises(ray.exceptions.ObjectStoreFullError, match="No space left"):
            ray.put(np.ones(12 * MB))
    assert eventually(lambda: used() == 0)
    assert (ray.get(ray.put(np.ones(12 * MB))) == 1).all()


def private() -> int:
    """Bytes that this process alone has."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private"))


def test_many_readers_map_one_copy(mark: str) -> None:
    @ray.remote(num_cpus=0)
    class Reader:
        def read(self, box: list[Any]) -> tuple[int, bool]:
            ray.get(ray.put(np.ones(20_000))).sum()  # numpy is loaded
            self.before = private()
            self.array = ray.get(box[0])
            return int(self.array.sum()), self.array.ctypes.data % 64 == 0  # all is looked at

        def grown(self) -> int:
            return private() - self.before

    ref = ray.put(np.ones(60 * MB, np.uint8))
    readers = [Reader.remote() for _ in range(4)]
    found = ray.get([reader.read.remote([ref]) for reader in readers])
    assert found == [(60 * MB, True)] * 4
    # Only now: what one process alone has mapped so far counts as its own.
    assert sum(ray.get([reader.grown.remote() for reader in readers])) < 6 * MB * len(readers)
    assert shared(mark) < 80 * MB
