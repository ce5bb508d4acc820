"""A process's log on good days and on a full disk."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from nbray.runtime.shell.process.log import Notes, hindrance


def test_a_line_says_who_and_what(tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    Notes("node 1", log).say("a caf\udce9")
    os.close(log)
    assert (tmp_path / "log").read_text().endswith(" node 1: a caf\\udce9\n")


@pytest.mark.parametrize("how", ["full", "closed", "not writable"])
def test_logging_never_raises(how: str, tmp_path: Path) -> None:
    if how == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        (tmp_path / "x").touch()
        descriptor = os.open(tmp_path / "x", os.O_RDONLY)
        if how == "closed":
            os.close(descriptor)
    notes = Notes("node 1", descriptor)
    notes.say("one")
    notes.rarely("two", 1.0)
    assert notes.lost == 2
    if how != "closed":
        os.close(descriptor)


def test_what_happens_all_the_time_is_written_rarely(tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    notes = Notes("root", log)
    for now in range(100):
        notes.rarely("again", float(now))
    notes.rarely("another", 1.0)
    os.close(log)
    assert len((tmp_path / "log").read_text().splitlines()) == 3


def disk(**more: int) -> SimpleNamespace:
    usual = {"f_bavail": 1000, "f_frsize": 4096, "f_files": 100, "f_favail": 50}
    return SimpleNamespace(**{**usual, **more})


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (disk(), ""),
        (disk(f_bavail=0), "the disk under /run/x is full"),
        (disk(f_bavail=15), "the disk under /run/x is full"),
        (disk(f_favail=0), "the disk (its table of files) under /run/x is full"),
        (disk(f_files=0, f_favail=0), ""),  # a file system that counts no files
    ],
)
def test_a_full_disk_is_seen(
    found: SimpleNamespace, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.statvfs", lambda _folder: found)
    assert hindrance("/run/x").partition(":")[0] == says


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    assert "No such file" in hindrance(tmp_path / "gone")
