"""What the executor knows of where its main thread is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nbray.hosting.imports import importing


def test_within_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "looks_around.py").write_text(
        "import sys\n"
        "from nbray.hosting.imports import importing\n"
        "def deeper():\n    return importing(sys._getframe())\n"
        "seen = deeper()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import looks_around  # type: ignore[import-not-found]

    assert looks_around.seen
    assert not looks_around.deeper(), "afterwards it is a function like any other"
    del sys.modules["looks_around"]


def test_elsewhere() -> None:
    assert not importing(sys._getframe())
