"""What root loads before it forks."""

from __future__ import annotations

import importlib.util

from nbray.runtime.shell.root.interpreter import _WORKER


def test_all_that_workers_need_is_there() -> None:
    """Workers load what root does not find, each by itself: nobody would notice but by the time."""
    assert [name for name in _WORKER if importlib.util.find_spec(name) is None] == []
