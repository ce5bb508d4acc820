"""What is packed of a folder, and that nothing is unpacked outside of one."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting import kept_folders, packages
from nbray.hosting.ignored import Ignored
from nbray.hosting.packages import files, pack_folder, packed
from nbray.hosting.unpacking import here, unpack


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
        ("*.log", "a/b.log", True), ("/b.log", "a/b.log", None), ("a/", "a", None),
        ("a/", "a/x", True), ("a", "b/a/c", True), (" a", "a", True), ("a**b", "ax/xb", None),
        ("a/*.txt", "a/b.txt", True), ("a/*.txt", "a/c/b.txt", None), ("**/x", "a/b/x", True),
        ("a/**", "a/b/c", True), ("a/**/c", "a/c", True), ("[ab].txt", "b.txt", True),
        ("[!ab].txt", "b.txt", None), ("# x", "# x", None), ("?.py", "a.py", True),
        ("!keep", "keep", False), ("", "x", None), ("\\#x", "#x", True),
    ],
    ids=str,
)  # fmt: skip
def test_patterns_mean_what_ray_says(pattern, path, said):
    assert Ignored([pattern]).says(path) is said


def test_what_is_left_out(tmp_path):
    """Every list of patterns is for itself: one does not take back what another says."""
    folder = made(
        tmp_path, "a.py", "b.log", "sub/c.py", "sub/d.tmp", "sub/e.log", "out/e.py", "in/f", "in/g"
    )
    (folder / ".gitignore").write_text("*.log\nin/\n!in/g\n")
    (folder / "sub" / ".gitignore").write_text("*.tmp\n!*.log\n")
    expected = [".gitignore", "a.py", "in/g", "sub/.gitignore", "sub/c.py"]
    assert listed(folder, ["out"]) == expected


def test_what_a_jobs_folder_comes_without(tmp_path, monkeypatch):
    folder = made(tmp_path, "a.py", ".git/x", "sub/venv/y", "__pycache__/f")
    text = packed({"working_dir": str(folder), "excludes": ["*.py"]})[0]
    assert "excludes" not in text
    monkeypatch.setenv("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "")
    (all_of_it,) = packed({"working_dir": str(folder)})[1].values()
    with tarfile.open(fileobj=io.BytesIO(all_of_it)) as archive:
        assert {".git/x", "sub/venv/y", "__pycache__/f"} < set(archive.getnames())


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
    folder = made(tmp_path, "a-rather-long-name.py")
    expected = r"Failed to upload working_dir .*: Package .* exceeds the maximum size of 0.00MiB"
    with pytest.raises(RuntimeEnvSetupError, match=expected):
        packed({"working_dir": str(folder)})
    with pytest.raises(RuntimeEnvSetupError, match="Failed to upload module"):
        packed({"py_modules": [str(folder)]})


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    folder = made(tmp_path, "a.py")

    def refused(_path, *_args, **_others):
        raise PermissionError(13, "Permission denied", "a.py")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(RuntimeEnvSetupError, match="Permission denied: 'a.py'"):
        packed({"working_dir": str(folder)})


def test_a_folder_that_is_there_already_is_used_as_it_is(tmp_path):
    def nothing(_name):
        raise AssertionError

    assert here(f"local://{tmp_path}", tmp_path, nothing, None, strip=False) == tmp_path
    with pytest.raises(ValueError, match="must already exist on every node"):
        here("local:///nowhere/at/all", tmp_path, nothing, None, strip=False)


def test_archives_are_unpacked_once_and_not_too_many_are_kept(tmp_path, monkeypatch):
    archives = {f"_ray_pkg_{name}.zip": pack_folder(made(tmp_path / name, "a.py"), [])
                for name in ("one", "two", "three")}  # fmt: skip
    asked = []

    def fetch(name):
        asked.append(name)
        return archives[name]

    home = tmp_path / "home"
    home.mkdir()

    def place(name):
        return here(f"gcs://_ray_pkg_{name}.zip", home, fetch, None, strip=False)

    monkeypatch.setenv("RAY_RUNTIME_ENV_WORKING_DIR_CACHE_SIZE_GB", "0")
    one, two = place("one"), place("two")
    assert one.is_dir()  # this process is in it
    assert place("one") == one
    assert len(asked) == 2
    for _ in range(2):
        kept_folders.let_go(one)
    place("three")
    assert (one.exists(), two.is_dir()) == (False, True)
    for name in ("two", "three"):
        kept_folders.let_go(home / f"_ray_pkg_{name}.zip")


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
