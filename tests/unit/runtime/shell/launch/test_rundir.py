"""The run directory: privacy, staleness, namespaces, and ending what a record names."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from harness import private_folder

from nbray.config import Owner, run_roots
from nbray.exceptions import RaySystemError
from nbray.ids import client_hex, client_id
from nbray.runtime.shell.launch import rundir
from nbray.runtime.shell.launch.rundir import Record


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    parent = private_folder("nbt-")
    monkeypatch.setenv("NBRAY_RUN_DIR", str(parent / "run"))
    yield parent / "run"
    shutil.rmtree(parent)


SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(child.pid, flush=True); time.sleep(600)"
)


@pytest.fixture
def start() -> Iterator[object]:
    children: list[subprocess.Popen[str]] = []

    def begin(program: str) -> tuple[subprocess.Popen[str], str]:
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield begin
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def record(pid: int, **changes: object) -> Record:
    made = Record(
        directory=str(rundir.new_session()),
        root_pid=pid,
        root_started=rundir.process_started(pid) or 0.0,
        node=1,
        head=True,
        address="10.0.0.5:6379",
        head_address="10.0.0.5:6379",
        secret="s",
        node_ip="10.0.0.5",
        version="0",
        python="3.11.0",
        owner=Owner.DAEMON,
        created=1.0,
        netns=rundir.namespace("net"),
        pidns=rundir.namespace("pid"),
    )
    made = msgspec.structs.replace(made, **changes)
    rundir.write(made)
    return made


def test_it_is_private(folder: Path) -> None:
    session = rundir.new_session()
    assert session.parent == folder
    for path in (folder, session):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    made = record(os.getpid())
    mode = (Path(made.directory) / rundir.RECORD).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_folder_others_may_enter_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(RaySystemError, match="chmod 700"):
        rundir.run_directory()


def test_a_link_or_a_file_is_refused(folder: Path) -> None:
    other = private_folder("nbt-")
    folder.symlink_to(other)
    with pytest.raises(RaySystemError, match="not yours"):
        rundir.run_directory()
    folder.unlink()
    other.rmdir()
    folder.touch()
    with pytest.raises(RaySystemError, match="not yours"):
        rundir.run_directory()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(RaySystemError, match="not yours"):
        rundir.run_directory()


def test_a_long_path_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBRAY_RUN_DIR", str(tmp_path / ("x" * 90)))
    with pytest.raises(RaySystemError, match="too long"):
        rundir.run_directory()


def test_inbox_paths_are_short() -> None:
    path = rundir.new_session() / f".{client_hex(client_id(1, 2))}"
    assert len(str(path)) < 104, "macOS allows 104 characters, Linux 108"


def test_records_come_back_youngest_first() -> None:
    old = record(os.getpid(), created=1.0)
    new = record(os.getpid(), created=2.0)
    assert rundir.read_all() == [new, old]
    assert rundir.find("auto") == new


def test_auto_prefers_what_belongs_to_no_driver() -> None:
    theirs = record(os.getpid(), created=3.0, owner=Owner.DRIVER)
    assert rundir.find("auto") == theirs
    record(os.getpid(), created=1.0)
    detached = record(os.getpid(), created=2.0, owner=Owner.DETACHED)
    assert rundir.find("auto") == detached
    assert rundir.outlives(detached)
    assert not rundir.outlives(theirs)
    rundir.remove(Path(theirs.directory))
    assert not rundir.outlives(theirs)


def test_stale_records_are_removed() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    dead = record(child.pid)
    child.wait()
    reused = record(os.getpid(), root_started=1.0)
    assert rundir.read_all() == []
    assert not Path(dead.directory).exists()
    assert not Path(reused.directory).exists()


def test_a_zombie_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert rundir.process_started(child.pid) is None
    child.wait()


def test_other_network_namespaces_are_other_machines() -> None:
    theirs = record(os.getpid(), netns=1)
    ours = record(os.getpid())
    assert rundir.read_all() == [ours]
    assert set(rundir.read_all(only_this_netns=False)) == {ours, theirs}


def test_a_process_that_cannot_be_seen_from_here_is_left_alone() -> None:
    theirs = record(2**22 + 7, pidns=1, netns=1)
    assert rundir.read_all() == []
    assert Path(theirs.directory).exists()


@pytest.mark.parametrize("junk", [b"", b"{}", b"\xff\xfe", b"[1]"])
def test_a_corrupt_record_is_skipped(junk: bytes) -> None:
    made = record(os.getpid())
    path = rundir.new_session() / rundir.RECORD
    path.write_bytes(junk)
    assert rundir.read_all() == [made]


def test_find_by_address() -> None:
    joined = record(
        os.getpid(), head=False, node_ip="10.0.0.6", address="10.0.0.6:4000", created=3.0
    )
    head = record(os.getpid(), address="10.0.0.9:7000", head_address="10.0.0.9:7000")
    assert rundir.find("10.0.0.6:4000") == joined
    assert rundir.find("10.0.0.5:6379") == joined
    assert rundir.find("127.0.0.1:7000") == head
    assert rundir.find("10.0.0.9:7001") is None
    with pytest.raises(ValueError, match="HOST:PORT"):
        rundir.find("nonsense")


def test_this_machine_has_several_names(monkeypatch: pytest.MonkeyPatch) -> None:
    head = record(os.getpid(), address="10.0.0.9:7000", head_address="10.0.0.9:7000")
    monkeypatch.setattr(rundir, "is_this_machine", lambda host: host in {"here", "localhost"})
    assert rundir.find("here:7000") == rundir.find("localhost:7000") == head
    assert rundir.find("there:7000") is None


def test_what_nbray_start_has_started() -> None:
    assert rundir.started_by_command() is None
    record(os.getpid(), owner=Owner.DRIVER, created=3.0)
    record(os.getpid(), owner=Owner.DETACHED, created=4.0)
    assert rundir.started_by_command() is None
    record(os.getpid(), created=1.0)
    young = record(os.getpid(), created=2.0)
    record(os.getpid(), created=5.0, node=0)  # it has lost its cluster
    assert rundir.started_by_command() == young


def test_of_a_clusters_nodes_here_the_heads_is_found_first() -> None:
    head = record(os.getpid(), cluster="c", owner=Owner.DRIVER, created=1.0)
    joined = record(os.getpid(), cluster="c", head=False, address="10.0.0.5:4000", created=2.0)
    assert rundir.find("auto") == head
    assert rundir.find("10.0.0.5:6379") == head
    assert rundir.find("10.0.0.5:4000") == joined


def test_stop_ends_a_session_and_no_other(start) -> None:  # type: ignore[no-untyped-def]
    child, _ = start(SLEEPER)
    other, _ = start(SLEEPER)
    made = record(child.pid)
    theirs = record(other.pid, netns=1)
    assert rundir.read_all() == [made], "what is in another namespace is not ours to end"
    rundir.stop_session(made, timeout=60)
    assert child.wait(60) in {-15, 0}  # 0: it has been reaped by `stop_session`
    assert not Path(made.directory).exists()
    assert other.poll() is None
    assert Path(theirs.directory).exists()
    assert rundir.read_all() == []


def test_stop_kills_what_does_not_listen_with_its_children(start) -> None:  # type: ignore[no-untyped-def]
    child, line = start(STUBBORN)
    rundir.stop_session(record(child.pid), timeout=0.2)
    assert child.wait(60) in {-9, 0}  # 0: it has been reaped by `stop_session`
    assert rundir.process_started(int(line)) is None


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The run directories of a user for whom none was chosen."""
    home = private_folder("nbt-")
    roots = [home / "tmp" / "nbray-7", home / "session" / "nbray", home / "var" / "nbray-7"]
    for root in roots:
        root.parent.mkdir(mode=0o700)
    monkeypatch.setattr(rundir, "run_roots", lambda: [str(root) for root in roots])
    yield roots
    shutil.rmtree(home)


def in_the_way(path: Path, how: str) -> None:
    """What another user may have put there."""
    if how == "a folder of his":
        path.mkdir(mode=0o700)
        os.chown(path, 12345, 12345)
    elif how == "a file":
        path.touch()
    elif how == "a link":
        path.symlink_to(path.parent)
    elif how == "a dead link":
        path.symlink_to("/nowhere")
    else:
        path.mkdir()
        path.chmod(0o777)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize(
    "how", ["a folder of his", "a file", "a link", "a dead link", "an open folder"]
)
def test_what_is_in_the_way_is_avoided(how: str, several: list[Path]) -> None:
    in_the_way(several[0], how)
    assert rundir.new_session().parent == several[1]
    in_the_way(several[2], how)
    assert rundir.run_directory() == several[1]
    assert rundir.run_directories() == [several[1]]


def test_clusters_are_found_wherever_they_were_started(several: list[Path]) -> None:
    in_the_way(several[0], "a file")
    other = record(os.getpid())
    several[0].unlink()  # whoever was in the way is gone
    usual = record(os.getpid())
    assert Path(other.directory).parent == several[1]
    assert Path(usual.directory).parent == several[0]
    assert {one.directory for one in rundir.read_all()} == {other.directory, usual.directory}


def test_where_nothing_can_be_used_the_first_is_named(several: list[Path]) -> None:
    for root in several:
        in_the_way(root, "a file")
    with pytest.raises(RaySystemError, match=str(several[0])):
        rundir.run_directory()
    assert rundir.read_all() == []


@pytest.mark.parametrize(
    ("environ", "roots"),
    [
        ({"NBRAY_RUN_DIR": "/x", "XDG_RUNTIME_DIR": "/run/user/5"}, ["/x"]),
        ({"XDG_RUNTIME_DIR": "/run/mine"}, ["/tmp/nbray-{0}", "/run/mine/nbray"]),
        ({"XDG_RUNTIME_DIR": "not/absolute"}, ["/tmp/nbray-{0}", "/run/user/{0}/nbray"]),
        ({}, ["/tmp/nbray-{0}", "/run/user/{0}/nbray"]),
    ],
)
def test_which_there_may_be(
    environ: dict[str, str], roots: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NBRAY_RUN_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = run_roots()
    assert found[: len(roots)] == [root.format(os.getuid()) for root in roots]
    assert len(found) == 1 or len(set(found)) == len(found) >= 4


@pytest.mark.parametrize("umask", [0o022, 0o000, 0o027])
@pytest.mark.parametrize("missing", ["a", "a/b", "a/b/c/d"])
def test_missing_parents_are_private(
    umask: int, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = private_folder("nbt-")
    monkeypatch.setenv("NBRAY_RUN_DIR", str(home / missing / "run"))
    before = os.umask(umask)
    try:
        path = rundir.run_directory()
    finally:
        os.umask(before)
    while path != home:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
        path = path.parent
    shutil.rmtree(home)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_a_process_may_be_called_anything() -> None:
    program = "import ctypes; ctypes.CDLL(None).prctl(15, b'caf\\xe9) Z 1', 0, 0, 0); input(1)"
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.read(1) == b"1"
        assert rundir.process_started(child.pid)
    finally:
        child.communicate(b"\n")
