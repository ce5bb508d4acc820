"""Cancelling while a module is imported: that is finished first, so the worker stays whole."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from api import ray
from harness import eventually

pytestmark = [pytest.mark.own, pytest.mark.concurrent]


def test_an_import_is_not_cut_in_half(tmp_path: Path) -> None:
    started, ended = tmp_path / "started", tmp_path / "ended"
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "slow_module.py").write_text(
        "import time\nfrom pathlib import Path\n"
        f"Path({str(started)!r}).touch()\n"
        "for _ in range(40):\n    time.sleep(0.01)\n"
        f"Path({str(ended)!r}).touch()\n"
    )

    @ray.remote
    def use(where: str) -> None:
        import sys

        sys.path.insert(0, where)
        import slow_module  # noqa: F401

        time.sleep(600)

    ref = use.remote(str(folder))
    assert eventually(started.exists)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    assert ended.exists()
