"""Tasks that have GPUs, in real processes: what a process took of one is free after it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import psutil
import pytest
from harness import eventually

import nbray as ray


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ray.shutdown()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    ray.init(num_cpus=2, num_gpus=1)
    yield
    ray.shutdown()


@ray.remote(num_gpus=1)
def pid(fails: bool = False) -> int:
    if fails:
        raise ValueError(f"in {os.getpid()}")
    return os.getpid()


def test_a_process_ends_soon_after_its_last_task_with_a_gpu() -> None:
    had = set(ray.get([pid.remote() for _ in range(20)]))
    assert len(had) == 1  # while there is work for it, it stays warm
    assert eventually(lambda: not any(map(psutil.pid_exists, had)))
    assert not set(ray.get([pid.remote()])) & had


def test_after_a_failure_the_others_run_elsewhere() -> None:
    ray.get(pid.remote())
    refs = [pid.remote(number == 5) for number in range(20)]
    with pytest.raises(ValueError, match="in ") as raised:
        ray.get(refs[5])
    spoiled = int(str(raised.value).split("in ")[-1].split()[0])
    after = ray.get(refs[6:])
    assert spoiled not in after
    assert ray.get(refs[:5])


def test_fractions_share_it_and_a_plain_task_s_process_stays() -> None:
    @ray.remote
    def plain() -> int:
        return os.getpid()

    half = pid.options(num_gpus=0.5)
    ray.get([half.remote() for _ in range(10)])
    first = ray.get(plain.remote())
    assert eventually(lambda: ray.available_resources().get("GPU") == 1)
    assert psutil.pid_exists(first)


def test_a_worker_without_streams_ends_alone() -> None:
    """What stands behind a worker's end in its program is root's own work."""

    @ray.remote(num_gpus=1)
    def deletes() -> int:
        del sys.stdout, sys.stderr
        return os.getpid()

    before = {node["NodeID"] for node in ray.nodes()}
    gone = ray.get(deletes.remote())
    assert eventually(lambda: not psutil.pid_exists(gone))
    assert ray.get(pid.options(num_gpus=0).remote(), timeout=30) != gone
    assert {node["NodeID"] for node in ray.nodes()} == before
