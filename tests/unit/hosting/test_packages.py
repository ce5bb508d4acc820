"""What is packed of a folder, and that nothing is unpacked outside of one."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile

import pytest

from nbray.hosting import packages
from nbray.hosting.ignored import Ignored
from nbray.hosting.packages import files, pack_folder, packed, unpack


def made(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def listed(folder, excludes=()):
    return [name for name, path in files(folder, list(excludes)) if not path.is_dir()]


@pytest.mark.parametrize(
    ("pattern", "path", "said"),
    [
        ("*.log", "a/b.log", True), ("/b.log", "a/b.log", None), ("a/", "a", True),
        ("a/*.txt", "a/b.txt", True), ("a/*.txt", "a/c/b.txt", None), ("**/x", "a/b/x", True),
        ("a/**", "a/b/c", True), ("a/**/c", "a/c", True), ("[ab].txt", "b.txt", True),
        ("[!ab].txt", "b.txt", None), ("# x", "# x", None), ("?.py", "a.py", True),
        ("!keep", "keep", False), ("", "x", None), ("\\#x", "#x", True),
    ],
    ids=str,
)  # fmt: skip
def test_patterns_mean_what_git_says(pattern, path, said):
    assert Ignored([pattern]).says(path, folder=True) is said


def test_what_is_left_out(tmp_path):
    folder = made(tmp_path, "a.py", "b.log", "sub/c.py", "sub/d.tmp", "out/e.py", "__pycache__/f")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "sub" / ".gitignore").write_text("*.tmp\n!*.log\n")
    assert listed(folder, ["out"]) == [".gitignore", "a.py", "sub/.gitignore", "sub/c.py"]


def test_links_lead_nowhere_else_twice(tmp_path):
    folder = made(tmp_path, "a.py")
    (folder / "round").symlink_to(folder)
    (folder / "gone").symlink_to(folder / "nothing")
    (folder / "same").symlink_to(folder / "a.py")
    os.mkfifo(folder / "pipe")
    assert listed(folder) == ["a.py", "same"]


def test_equal_folders_have_one_name(tmp_path):
    one, two = (made(tmp_path / name, "a.py", "sub/b.py") for name in ("one", "two"))
    os.utime(two / "a.py", (1, 1))
    assert pack_folder(one, []) == pack_folder(two, [])
    text, archives = packed({"working_dir": str(one)})
    (name,) = archives
    assert json.loads(text) == {"working_dir": f"gcs://{name}"}


def test_any_name_travels(tmp_path):
    folder = tmp_path / "from"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9.txt")
    (folder / name).write_text("x")
    unpack(pack_folder(folder, []), tmp_path / "to", "it")
    assert [path.name for path in (tmp_path / "to").iterdir()] == [name]


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="exceeds the maximum size"):
        pack_folder(made(tmp_path, "a-rather-long-name.py"), [])


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out"])
def test_nothing_is_unpacked_outside(tmp_path, name):
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(name, "x")
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    for data in (zipped, tarred):
        with pytest.raises(ValueError, match="outside"):
            unpack(data.getvalue(), tmp_path / "in", "it")
    assert not (tmp_path / "out").exists()
