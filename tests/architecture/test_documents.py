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
