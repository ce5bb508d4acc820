"""docs/ray-compatibility.md has every name of Ray's, and is what its script writes."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from harness import ROOT


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("page", ROOT / ".ci" / "ray_compatibility.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(script: Any) -> None:
    assert script.PAGE.read_text() == script.page(), "make compatibility"


def test_every_note_is_on_a_name(script: Any) -> None:
    names = script.sections(ROOT / "docs" / "ray-names.txt")
    every = {name for section in names.values() for name in section}
    for section, said in script.notes().items():
        known = every if section == "everywhere" else {*names[section], "*"}
        assert set(said) <= known


def test_differences_are_ten_at_most_and_have_tests(script: Any) -> None:
    differences = script.differences()
    assert len(differences) <= 10
    for one in differences:
        for test in one.tests:
            file, _, name = test.partition("::")
            wanted = f"def {name}(" if name else "def test_"
            assert wanted in (ROOT / "tests" / "contract" / f"{file}.py").read_text()


def test_every_public_name_is_listed_and_few_are_absent(script: Any) -> None:
    names = script.sections(ROOT / "docs" / "ray-names.txt")
    rows = [row for _, made in script.rows() for row in made]
    assert len(rows) == sum(map(len, names.values())) >= 718
    absent = [row.name for row in rows if not row.there]
    assert len(absent) <= 0.05 * len(rows), absent
    unexplained = [row.name for row in rows if row.state == f"absent: {script.UNEXPLAINED}"]
    assert not unexplained
