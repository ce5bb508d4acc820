"""Which screens a process has."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import nbray
from nbray import session
from nbray.jupyter import jobs, marimo
from nbray.jupyter.waiting import progress
from nbray.screens import LazyScreens


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been put up, in a process that has loaded nothing of a notebook."""
    found: list[str] = []
    monkeypatch.setattr(marimo, "install", lambda: found.append("marimo"))
    monkeypatch.setattr(progress, "install", lambda: found.append("bars"))
    for name in ("marimo", "IPython"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: False, write=print))
    return found


def test_the_package_registers_them() -> None:
    assert isinstance(session.screens(), LazyScreens)


def test_a_script_has_none(begun: list[str]) -> None:
    LazyScreens().begin()
    assert begun == []
    assert LazyScreens().job() is None


@pytest.mark.parametrize(
    ("module", "expected"), [("marimo", ["marimo"]), ("IPython", ["bars"])]
)
def test_a_notebook_has_what_it_loaded(
    begun: list[str], monkeypatch: pytest.MonkeyPatch, module: str, expected: list[str]
) -> None:
    stand_in = SimpleNamespace(get_ipython=lambda: None)
    monkeypatch.setitem(sys.modules, module, stand_in)  # type: ignore[arg-type]
    LazyScreens().begin()
    assert begun == expected


def test_a_terminal_has_bars(begun: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    LazyScreens().begin()
    assert begun == ["bars"]


def test_init_begins_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []
    monkeypatch.setattr(LazyScreens, "begin", lambda self: began.append("x"))
    nbray.init(engine="inline")
    try:
        nbray.init(ignore_reinit_error=True)
    finally:
        nbray.shutdown()
    assert began == ["x"]


def test_jobs_are_shown_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setattr(jobs, "show", lambda: "a place")
    assert LazyScreens().job() == "a place"
