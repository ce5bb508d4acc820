"""Imports from a bundle: versions, what stays loaded, packages, tracebacks."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator
from hashlib import blake2b

import pytest

from nbray.hosting.imports import Imports
from nbray.hosting.modules import Bundle, Module, Packed, write


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[Imports]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield Imports()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def packed(**texts: str) -> Packed:
    """A bundle of modules; `a__b` is `a.b`, and a trailing `__` a package's own file."""
    found = {}
    for name, text in texts.items():
        parts = name.removesuffix("__").split("__")
        path = "/nowhere/" + "/".join(parts) + ("/__init__.py" if name.endswith("__") else ".py")
        data = text.encode()
        found[".".join(parts)] = Module(path, blake2b(data).digest(), data)
    data = write(Bundle(found))
    return Packed(blake2b(data).digest(), data)


def test_modules_come_from_the_bundle(imports: Imports) -> None:
    imports.use(packed(ours_a="import ours_b\nX = ours_b.Y", ours_b="Y = 3"))
    assert importlib.import_module("ours_a").X == 3
    assert imports.packed("any").digest == imports.digest


def test_packages_and_folders_without_init(imports: Imports) -> None:
    imports.use(packed(ours_p__="from . import q", ours_p__q="Z = 1", ours_n__m="Z = 2"))
    assert importlib.import_module("ours_p").q.Z == 1
    assert importlib.import_module("ours_n.m").Z == 2


def test_what_changed_and_what_uses_it_is_renewed(imports: Imports) -> None:
    texts = {"ours_user": "from ours_base import f", "ours_base": "def f(): return 1",
             "ours_kept": "import ours_other", "ours_other": ""}  # fmt: skip
    imports.use(packed(**texts))
    before = {name: importlib.import_module(name) for name in texts}
    assert before["ours_user"].f() == 1
    imports.use(packed(**{**texts, "ours_base": "def f(): return 2"}))
    after = {name: importlib.import_module(name) for name in texts}
    assert after["ours_user"].f() == 2
    assert after["ours_kept"] is before["ours_kept"]
    assert after["ours_other"] is before["ours_other"]
    assert before["ours_user"].f() == 1  # what runs meanwhile keeps what it has


def test_a_package_does_not_keep_an_old_part(imports: Imports) -> None:
    imports.use(packed(ours_p__="", ours_p__q="Z = 1"))
    importlib.import_module("ours_p.q")
    imports.use(packed(ours_p__="", ours_p__q="Z = 2"))
    scope: dict[str, object] = {}
    exec("from ours_p import q", scope)
    assert scope["q"].Z == 2  # type: ignore[attr-defined]


def test_a_removed_module_is_gone(imports: Imports) -> None:
    imports.use(packed(ours_a=""))
    importlib.import_module("ours_a")
    imports.use(packed())
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("ours_a")


def test_tracebacks_and_inspect_show_the_text_that_travelled(imports: Imports) -> None:
    imports.use(packed(ours_a="def f():\n    return 1 / 0\n"))
    module = importlib.import_module("ours_a")
    assert inspect.getsource(module.f) == "def f():\n    return 1 / 0\n"
    with pytest.raises(ZeroDivisionError) as caught:
        module.f()
    assert "return 1 / 0" in "".join(traceback.format_exception(caught.value))


def test_paths_that_exist_here_are_searched_as_well(imports: Imports, tmp_path: object) -> None:
    data = write(Bundle({}, (str(tmp_path), "/not/there")))
    imports.use(Packed(b"d", data))
    assert str(tmp_path) in sys.path
    assert "/not/there" not in sys.path
