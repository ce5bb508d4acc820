"""Which modules of the user's are found, and when they are another bundle."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbray.engine import Function
from nbray.hosting import modules
from nbray.hosting.modules import Modules, Named, _imported, read, resolve


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory in `sys.path`, as a notebook's."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> None:
    """A file whose modification time is a new one, however fast the test is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    if path.stat().st_mtime_ns == before:
        os.utime(path, ns=(before + 1000, before + 1000))


def names(found: Modules, cell: str = "a") -> set[str]:
    return set(read(found.packed(cell).data).modules)


def test_files_and_packages_next_to_the_notebook_are_found(folder: Path) -> None:
    for name in ("helper.py", "parts/__init__.py", "parts/deep/leaf.py", "loose/not_found.py",
                 "not-a-name.py", "parts/__pycache__/x.py", ".hidden.py"):  # fmt: skip
        write(folder / name, "")
    assert names(Modules()) == {"helper", "parts", "parts.deep.leaf"}


def test_installed_standard_and_our_own_modules_are_not(folder: Path) -> None:
    write(folder / "site-packages" / "installed.py", "")
    for name in ("random.py", "setup.py", "msgspec.py", "nbray.py"):
        write(folder / name, "")
    sys.path.insert(0, str(folder / "site-packages"))
    importlib.import_module("installed")
    assert names(Modules()) == set()


def test_what_is_imported_is_found_wherever_it_lies_inside(folder: Path) -> None:
    write(folder / "loose" / "leaf.py", "")
    write(folder / "lib" / "more.py", "")
    sys.path.append(str(folder / "lib"))
    importlib.import_module("loose.leaf")
    assert names(Modules()) == {"loose.leaf", "more"}


def test_nothing_changed_is_the_same_bundle(folder: Path) -> None:
    write(folder / "helper.py", "X = 1")
    found = Modules()
    first = found.packed("a")
    assert found.packed("b") is first
    write(folder / "helper.py", "X = 2")
    assert found.packed("b") is first  # one cell sees one version
    second = found.packed("c")
    assert second.digest != first.digest
    assert read(second.data).modules["helper"].text == b"X = 2"


def test_a_great_heap_of_files_stays_where_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "MOST_FILES", 3)
    for number in range(10):
        write(folder / f"script{number}.py", "")
    importlib.import_module("script9")
    found = names(Modules())
    assert "script9" in found
    assert len(found) <= 4


def test_of_a_package_that_is_too_large_nothing_travels(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "MOST_IMPORTED", 3000)
    # As Python does it, a package stands behind the parts that its own file imports.
    write(folder / "vast" / "__init__.py", "from vast import one, two\n" + "# \n" * 500)
    write(folder / "vast" / "one.py", "#" * 1000)
    write(folder / "vast" / "two.py", "#" * 1000)
    write(folder / "small" / "__init__.py", "from small import part\n")
    write(folder / "small" / "part.py", "#" * 1000)
    importlib.import_module("vast")
    importlib.import_module("small")
    assert names(Modules()) == {"small", "small.part"}


def test_python_itself_stays_where_it_is_even_inside_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    found = names(Modules())
    assert not {"json", "os", "importlib", "tokenize", "pytest", "nbray"} & found
    assert not {name for name in found if name.partition(".")[0] in sys.stdlib_module_names}


def test_a_removed_working_directory_is_no_error(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert names(Modules()) == set()


TASKS = "import nbray\n@nbray.remote\ndef answer():\n    return {!r}\n"


def test_a_decorated_function_goes_by_name_once_its_file_is_another(folder: Path) -> None:
    write(folder / "tasks_here.py", TASKS.format("old"))
    function: Function = importlib.import_module("tasks_here").answer._target
    found = Modules()
    found.packed("a")
    assert found.target(function) is function.call
    write(folder / "tasks_here.py", TASKS.format("new"))
    found.packed("b")
    assert isinstance(found.target(function), Named)
    other = Function(function.call, "answer")
    assert found.target(other) is function.call  # made in the notebook: not the module's own
    assert resolve("tasks_here", "answer") is function.call


def test_a_name_that_is_gone_says_so(folder: Path) -> None:
    write(folder / "tasks_here.py", "")
    with pytest.raises(AttributeError, match="'tasks_here' has no remote function or class 'f'"):
        resolve("tasks_here", "f")


def test_modules_that_come_while_it_looks_hinder_nobody() -> None:
    """Garbage collection runs while the list is made, and what it runs may import."""
    left = 300

    class Late:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal left
            sys.modules[f"late_{left}"] = types.ModuleType("late")
            left -= 1
            if left:
                Late()  # for the next collection

    kept = gc.get_threshold()
    try:
        Late()
        gc.set_threshold(1, 1, 1)
        while left:
            list(_imported(["/nowhere"]))
    finally:
        gc.set_threshold(*kept)
        for name in [name for name in sys.modules if name.startswith("late_")]:
            del sys.modules[name]
