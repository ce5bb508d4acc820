"""Small machines: little shared memory, and disks that are small, full, gone or not to be written.

`NBRAY_TEST_LARGE=1` takes 3 GB of live objects and a store of 300 MB.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e2e import cli
from harness import eventually, private_folder, require_or_skip

import nbray as ray
from nbray import session
from nbray.runtime.store.pins import PINS

MB = 1 << 20
STORE, DISK = 24 * MB, 32 * MB
PROGRAM = Path(__file__).parent / "programs" / "small_memory.py"
SIZES = (300, 3000, 360, 20_000) if os.environ.get("NBRAY_TEST_LARGE") else (30, 300, 36, 300)
"""Megabytes: of the store, live at a time, of one large object, and put and dropped."""
pytestmark = pytest.mark.skipif(not PINS, reason="nothing moves there")


def test_little_shared_memory_is_no_obstacle(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        require_or_skip("mounting a small /dev/shm takes root and unshare")
    mount = "mount -t tmpfs -o size=64m tmpfs /dev/shm"
    if subprocess.run([unshare, "--mount", "sh", "-c", mount], check=False).returncode:
        require_or_skip("this container may not mount")
    line = [sys.executable, str(PROGRAM), *map(str, SIZES), str(tmp_path)]
    done = subprocess.run(
        [unshare, "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh", *line],
        env=cli.environment(), capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("right 150"), done.stdout
    assert "some go to disk" in done.stderr


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cluster whose objects spill to a small file system of their own."""
    folder = private_folder("nbt-spill-")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        folder.rmdir()
        require_or_skip(f"no file system can be mounted: {done.stderr.strip()}")
    monkeypatch.setenv("NBRAY_MAX_UNREAD_BYTES", str(32 * MB))
    ray.init(num_cpus=1, object_store_memory=STORE, object_spilling_directory=folder / "made")
    yield folder
    ray.shutdown()
    subprocess.run(["umount", "-l", str(folder)], check=False)
    shutil.rmtree(folder)


def value(number: int, size: int = 2 * MB) -> Any:
    return np.random.default_rng(number).integers(0, 255, size, np.uint8)


def same(number: int, got: Any) -> bool:
    return bool((got == value(number, got.nbytes)).all())


def figures() -> Any:
    (node,) = session.require().insight.snapshot().nodes or (None,)
    return node.figures if node is not None else None


def trouble() -> str:
    seen = figures()
    return seen.trouble if seen is not None else ""


@ray.remote
def make(number: int) -> Any:
    return value(number)


@ray.remote
def one(number: int) -> int:
    return number + 1


def filled() -> list[tuple[int, Any]]:
    """As many objects as there is room for."""
    refs: list[tuple[int, Any]] = []
    for number in range(60):
        with contextlib.suppress(ray.exceptions.OutOfDiskError):
            refs.append((number, ray.put(value(number))))
    with pytest.raises(ray.exceptions.OutOfDiskError, match="the disk under|No space left"):
        ray.put(value(60))
    return refs


def test_a_full_disk_is_an_error_of_what_finds_no_room(
    disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refs = filled()
    assert STORE + DISK // 2 < len(refs) * 2 * MB < STORE + DISK
    with pytest.raises(ray.exceptions.OutOfDiskError):
        ray.get(make.remote(1))
    assert ray.get([one.remote(n) for n in range(20)])[-1] == 20
    assert eventually(lambda: trouble().startswith("objects find no room"))
    assert figures().disk_used > DISK // 2
    assert all(same(number, ray.get(ref)) for number, ref in refs)
    said = ""
    for _ in range(200):
        said += capfd.readouterr().err
        if "objects find no room" in said:
            break
        ray.get(one.remote(1))
    assert said.count("objects find no room") == 1
    del refs[4:]
    assert eventually(lambda: not trouble())
    assert same(5, ray.get(make.remote(5)))
    assert all(same(number, ray.get(ref)) for number, ref in refs)


def test_a_disk_that_takes_nothing_and_a_folder_that_is_gone(disk: Path) -> None:
    made = disk / "made"
    subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
    refs = [(number, ray.put(value(number))) for number in range(4)]
    try:
        with pytest.raises(ray.exceptions.OutOfDiskError, match="Read-only file system"):
            refs.extend((number, ray.put(value(number))) for number in range(4, 14))  # as they come
        assert eventually(lambda: "Read-only" in trouble())
        assert ray.get(one.remote(1)) == 2
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    made.rmdir()
    refs += [(number, ray.put(value(number))) for number in range(20, 24)]
    assert made.is_dir()
    assert all(same(number, ray.get(ref)) for number, ref in refs)
    assert eventually(lambda: not trouble())


def test_a_generator_that_nobody_reads_does_not_fill_the_disk(disk: Path, tmp_path: Path) -> None:
    @ray.remote
    def many(count: int, file: str) -> Any:
        for number in range(count):
            yield value(number)
            Path(file).write_text(str(number + 1))

    told = tmp_path / "told"
    values = many.remote(60, str(told))
    assert eventually(lambda: told.exists() and told.read_text() == "15")
    assert ray.get(one.remote(1)) == 2  # its CPU is free meanwhile
    view = session.require().insight.snapshot().cells[""]
    assert any("many pauses for its reader" in why for why in view.waiting), view
    assert told.read_text() == "15"
    assert all(same(number, ray.get(ref)) for number, ref in enumerate(values))
    assert told.read_text() == "60"
    values = many.remote(18, str(told))
    ray.get(values.completed(), timeout=60)  # who waits for the end need not read
    assert [same(number, ray.get(ref)) for number, ref in enumerate(values)] == [True] * 18


def test_a_function_that_has_much_captured_runs_where_there_is_no_room(disk: Path) -> None:
    refs = filled()
    much = np.ones(20 * MB, np.uint8)
    token = session.cell.set("a cell")  # outside of notebooks it is refused
    try:
        with pytest.warns(UserWarning, match="'much'"):
            assert ray.get(ray.remote(lambda at: int(much[at])).remote(2), timeout=60) == 1
    finally:
        session.cell.reset(token)
    assert len(refs) > 10
