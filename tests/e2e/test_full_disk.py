"""The disk under the run directory becomes full while a cluster works on it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import cli
from harness import eventually, private_folder, require_or_skip

import nbray
from nbray import jobs
from nbray.jobs.keeper import Part, Plan
from nbray.options import TaskOptions
from nbray.runtime.shell.launch import rundir


class Disk:
    """A small file system, with a cluster's run directory on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, what: str) -> None:
        """Leave no room for bytes, or for files."""
        with contextlib.suppress(OSError):
            if what == "bytes":
                with (self.folder / "fill").open("wb", 0) as file:
                    while True:
                        file.write(b"x" * 4096)
            for number in range(10_000):
                (self.folder / f"fill{number}").touch()

    def empty(self) -> None:
        for path in self.folder.glob("fill*"):
            path.unlink()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    folder = private_folder("nbt-disk-")
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=150,mode=700", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        folder.rmdir()
        require_or_skip(f"no file system can be mounted: {done.stderr.strip()}")
    monkeypatch.setenv("NBRAY_RUN_DIR", str(folder))
    yield Disk(folder)
    nbray.shutdown()
    cli.nbray("stop")
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def start() -> rundir.Record:
    done = cli.nbray(
        "start", "--head", "--num-cpus", "2", "--node-ip-address", "127.0.0.1", "--port", "0"
    )
    assert done.returncode == 0, done.stderr
    nbray.init("auto")
    (record,) = rundir.read_all()
    return record


@nbray.remote
def one(value: int) -> int:
    return value + 1


@nbray.remote
def speak(value: int) -> int:
    os.write(1, b"from C code\n" * 20)
    subprocess.run(["echo", "from a child"], check=True)
    print("from Python")
    return value


@nbray.remote(num_cpus=0)
class Counter:
    def up(self) -> int:
        return 1


@nbray.remote(max_retries=1)
def dies_once(path: str) -> str:
    if not Path(path).exists():
        Path(path).touch()
        os.abort()
    return "came again"


def works(tmp_path: Path, record: rundir.Record, anew: bool = True) -> None:
    """Old processes work, and (*anew*) new ones."""
    assert nbray.get([one.remote(n) for n in range(50)], timeout=60) == list(range(1, 51))
    assert nbray.get([speak.remote(n) for n in range(4)], timeout=60) == [0, 1, 2, 3]
    if anew:
        assert nbray.get(Counter.remote().up.remote(), timeout=60) == 1
        path = tmp_path / f"died{time.monotonic()}"
        assert nbray.get(dies_once.remote(str(path)), timeout=60) == "came again"
    host, _, port = record.address.rpartition(":")
    for said in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(64), b""):  # a scan of ports
        with socket.create_connection((host, int(port))) as knock:
            knock.sendall(said)
    assert nbray.get(one.remote(1), timeout=60) == 2


@pytest.mark.parametrize("what", ["bytes", "files"])
def test_work_goes_on_and_the_screen_says_so_once(
    what: str, disk: Disk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = start()
    works(tmp_path, record)
    disk.fill(what)
    works(tmp_path, record, what == "bytes")
    if what == "files":  # a process must have an inbox; whoever needs one is told
        with pytest.raises(nbray.exceptions.ActorDiedError, match="No space left on device"):
            for _ in range(5):
                nbray.get(Counter.remote().up.remote(), timeout=60)

    elsewhere = private_folder("nbt-run-")  # the joiner's own disk has room
    line = ["start", f"--address={record.address}", f"--redis-password={record.secret}"]
    joined = cli.nbray(*line, "--num-cpus", "1", NBRAY_RUN_DIR=str(elsewhere))
    assert joined.returncode == 0, joined.stderr
    assert eventually(lambda: sum(node["Alive"] for node in nbray.nodes()) == 2)
    works(tmp_path, record, what == "bytes")
    seen = cli.nbray("status")
    assert "the disk" in seen.stdout + seen.stderr, seen
    assert cli.nbray("stop", NBRAY_RUN_DIR=str(elsewhere)).returncode == 0
    elsewhere.rmdir()

    said = ""
    deadline = time.monotonic() + 60
    while "is full" not in said and time.monotonic() < deadline:
        said += capfd.readouterr().err
        time.sleep(0.1)
    disk.empty()
    works(tmp_path, record)
    said += capfd.readouterr().err
    assert len(re.findall(r"the disk.* under .* is full", said)) == 1, said


@pytest.mark.parametrize("what", ["bytes", "files"])
def test_the_result_of_a_job_whose_output_cannot_be_written(
    what: str, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    record = start()
    inboxes = 5  # of the head, the node, two idle workers that the job will need, and us
    assert eventually(
        lambda: sum(path.is_socket() for path in Path(record.directory).iterdir()) == inboxes
    )
    time.sleep(1)
    disk.fill(what)

    def body() -> tuple[int, dict[str, int]]:
        print("a line\n" * 2000)
        return 42, {}

    plan = Plan("train", "body()", [Part(body, TaskOptions(), [()])])
    jobs.launch(plan)
    assert nbray.fetch("train", timeout=60) == 42
    assert capsys.readouterr().out.count("a line") == 2000
    assert jobs.find("train").record().fetched


def test_starting_on_a_full_disk_says_why(disk: Disk) -> None:
    disk.fill("files")
    done = cli.nbray("start", "--head", "--num-cpus", "1", "--port", "0")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    disk.empty()
    disk.fill("bytes")
    done = cli.nbray("start", "--head", "--num-cpus", "1", "--port", "0")
    if done.returncode:
        assert "No space left on device" in done.stderr or "is full" in done.stderr
        assert "Traceback" not in done.stderr
