"""Which engine a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbray
from nbray.engine import Capabilities, load

FAR = """
from nbray.engines.scripted import ScriptedEngine as Engine
def start(config):
    return Engine(config)
"""


@pytest.mark.parametrize("name", ["inline", "native", "scripted"])
def test_engines_that_come_with_nbray_are_found_by_name(name: str) -> None:
    assert callable(load(name).start)


def test_an_installed_package_has_an_engine_found_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faraway.py").write_text(FAR)
    info = tmp_path / "faraway-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faraway\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nbray.engines]\nfar = faraway\n")
    monkeypatch.syspath_prepend(tmp_path)
    nbray.init(engine="far")
    try:
        assert nbray.get(nbray.remote(lambda: 5).remote()) == 5
    finally:
        nbray.shutdown()
    with pytest.raises(ValueError, match=r"no engine called 'near' .*\bfar, inline, native"):
        load("near")


def test_an_engine_answers_to_its_name_and_to_none() -> None:
    able = Capabilities("far")
    assert able.answers_to("far")
    assert able.answers_to("")
    assert not able.answers_to("near")
