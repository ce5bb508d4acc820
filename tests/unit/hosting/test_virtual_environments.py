"""Virtual environments: made once, whole or anew, and no more of them than are kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting import installing, kept_folders
from nbray.hosting.virtual_environments import READY, key_of, last_line, listed, made, packages_of

UV = """#!/bin/sh
echo run >> "$FAKE_UV_RUNS"
echo "Resolved 1 package"
eval "$FAKE_UV"
mkdir -p "$(dirname "$4")/../lib/{python}/site-packages/installed"
""".replace("{python}", f"python{sys.version_info[0]}.{sys.version_info[1]}")


class Progress:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.lines: list[tuple[str, str]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def now(self, what: str, line: str) -> None:
        self.lines.append((what, line))


@pytest.fixture(autouse=True)
def kept(monkeypatch, tmp_path):
    """Where environments are kept; `uv` is a shell's program."""
    home = tmp_path / "kept"
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text(UV)
    uv.chmod(0o700)
    monkeypatch.setenv("PATH", f"{uv.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("NBRAY_ENVIRONMENTS_DIR", str(home))
    monkeypatch.setenv("FAKE_UV_RUNS", str(tmp_path / "runs"))
    yield home
    for place, times in list(kept_folders._in_use.items()):
        for _ in list(times):
            kept_folders.let_go(place)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """An environment without an interpreter: this one's own makes no difference here."""
    run = installing._run

    def quick(what, log, plan, told):
        if what[1:3] == ["-m", "venv"]:
            place = Path(what[-1])
            packages_of(place).mkdir(parents=True)
            (place / "bin").mkdir()
            (place / "bin" / "python").symlink_to(sys.executable)
        else:
            run(what, log, plan, told)

    monkeypatch.setattr(installing, "_run", quick)


def make(*packages, until=None):
    progress = Progress()
    return made({"uv": {"packages": list(packages)}}, until, progress, os.environ), progress


def runs(tmp_path):
    path = tmp_path / "runs"
    return path.read_text().count("run") if path.exists() else 0


def test_one_is_made_once(tmp_path):
    place, progress = make("x", "y")
    again, quiet = make("x", "y")
    assert place == again
    assert runs(tmp_path) == 1
    assert progress.said[0].startswith("nbray: uv installed x, y in ")
    assert progress.lines[0] == ("uv installs x, y", "")
    assert progress.lines[-1] == ("", "")
    assert (quiet.said, quiet.lines) == ([], [])


@pytest.mark.parametrize("what", ["half", "lost", "interpreter", "words"])
def test_one_that_is_not_whole_is_made_anew(tmp_path, what):
    place, _ = make("x")
    if what == "half":
        (place / READY).unlink()
    elif what == "lost":
        (packages_of(place) / "installed").rmdir()
    elif what == "interpreter":
        (place / "bin" / "python").unlink()
        (place / "bin" / "python").symlink_to("/nowhere/python")
    else:
        (place / READY).write_text("{")
    make("x")
    assert runs(tmp_path) == 2
    assert (packages_of(place) / "installed").is_dir()


def test_a_failure_has_the_last_lines_and_leaves_nothing(kept, monkeypatch):
    monkeypatch.setenv("FAKE_UV", "echo 'no such package'; exit 3")
    with pytest.raises(RuntimeEnvSetupError, match=r"exit code 3(.|\n)*no such package"):
        make("x")
    assert {path.suffix for path in kept.iterdir()} == {".lock", ".use", ".failed"}
    monkeypatch.setenv("FAKE_UV", "")
    make("y")
    assert not kept_folders.beside(kept / key_of_one("x"), "failed").exists()


def test_the_time_allowed_ends_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_UV", f"sleep 100 & echo $! > {tmp_path}/pid; wait")
    with pytest.raises(TimeoutError, match="setup_timeout_seconds"):
        make("x", until=time.monotonic() + 0.3)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 60
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _lives(pid)


def test_who_makes_one_is_waited_for_and_followed_if_it_dies(kept, tmp_path):
    """Another process has the lock; it dies in the middle."""
    place = kept / key_of_one("x")
    kept.mkdir(mode=0o700)
    program = (
        "import fcntl, sys, time; stream = open(sys.argv[1], 'ab');"
        "fcntl.flock(stream, fcntl.LOCK_EX); print('have it', flush=True); time.sleep(100)"
    )
    other = subprocess.Popen(
        [sys.executable, "-S", "-c", program, str(kept_folders.beside(place, "lock"))],
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    other.stdout.readline()
    other.stdout.close()
    place.mkdir()  # half made
    kept_folders.beside(place, "log").write_text("Collecting x\n")
    with pytest.raises(TimeoutError, match="another process"):
        make("x", until=time.monotonic())
    seen = []

    class Watching(Progress):
        def now(self, what, line):
            if not seen:
                other.kill()
                other.wait()
            seen.append((what, line))

    made({"uv": {"packages": ["x"]}}, None, Watching(), os.environ)
    assert seen[0] == ("uv installs x", "Collecting x")
    assert seen[-1] == ("", "")
    assert runs(tmp_path) == 1


def test_who_waited_for_one_that_failed_fails_alike(kept, tmp_path):
    place = kept / key_of_one("x")
    kept.mkdir(mode=0o700)
    lock = kept_folders.locked(place, None)
    lock.__enter__()

    class Watching(Progress):
        def now(self, what, line):
            if not self.lines:
                kept_folders.beside(place, "failed").write_text("uv said no")
                lock.__exit__()
            super().now(what, line)

    with pytest.raises(RuntimeEnvSetupError, match="uv said no"):
        made({"uv": {"packages": ["x"]}}, None, Watching(), os.environ)
    assert runs(tmp_path) == 0
    make("x")  # who comes later tries again
    assert runs(tmp_path) == 1


def test_no_more_are_kept_than_are_wanted(kept, monkeypatch):
    monkeypatch.setenv("NBRAY_ENVIRONMENTS_KEPT", "1")
    first, _ = make("a")
    second, _ = make("b")
    assert first.is_dir()  # this process is in it
    kept_folders.let_go(first)
    kept_folders.let_go(second)
    make("c")
    assert {path.name for path in kept.iterdir() if path.is_dir()} == {key_of_one("c")}
    assert not kept_folders.beside(first, "use").exists()


def key_of_one(package):
    return key_of("uv", {"packages": [package]}, "/")


def test_a_folder_that_others_can_write_to_is_not_used(kept):
    kept.mkdir(mode=0o777)
    kept.chmod(0o777)
    with pytest.raises(PermissionError, match="can be changed by other users"):
        make("x")


def test_a_folder_that_cannot_be_made_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NBRAY_ENVIRONMENTS_DIR", str(tmp_path / "file" / "kept"))
    with pytest.raises(NotADirectoryError):
        make("x")


def test_what_lies_here_and_changes_is_another_environment(tmp_path):
    source, listing = tmp_path / "source", tmp_path / "requirements.txt"
    (source / "build").mkdir(parents=True)
    (source / "a.py").write_text("1")
    listing.write_text("x")
    lines = [str(source), f"-r {listing}"]

    def key():
        return key_of("pip", {"packages": lines}, str(tmp_path))

    first = key()
    (source / "build" / "made.py").write_text("by building it")
    os.utime(listing, (1, 1))
    assert key() == first
    (source / "a.py").write_text("12")
    second = key()
    listing.write_text("y")
    assert len({first, second, key()}) == 3
    lines[1] = "-r ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/requirements.txt"
    third = key()
    listing.write_text("z")
    assert key() != third


def test_what_is_said(tmp_path):
    assert listed(["--no-index", "/a/b/nb-1.0.whl", "numpy"]) == "nb-1.0.whl, numpy"
    assert listed(["x" * 30] * 10) == "10 packages"
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("Collecting a\n  Downloading 1%\r  Downloading 50%\n\n")
    assert last_line(log) == "Downloading 50%"
    log.write_text("\x1b[2K\x1b[31mERROR: none\x1b[0m\n")
    assert last_line(log) == "ERROR: none"


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
