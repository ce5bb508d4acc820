"""What the documents name is there: files and folders of the house, by their paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATH = re.compile(r"`((?:nbray|tests|benchmarks|labextension)/[\w./-]*)`")
TO_COME = {"nbray/util/placement_group.py"}
"""Where something goes that does not exist yet."""


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md", "README.md"])
def test_every_path_in_the_documents_is_there(name: str) -> None:
    named = set(PATH.findall((ROOT / name).read_text()))
    assert [path for path in sorted(named - TO_COME) if not (ROOT / path).exists()] == []


def test_every_module_at_the_top_is_named_once() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split("### what stands at the top of the package")[1].split("### ")[0]
    rows = [line.split("|")[2] for line in section.splitlines() if line.startswith("| ")][2:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    there = {
        path.stem
        for path in (ROOT / "nbray").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"}
    assert sorted(named) == sorted(there)
