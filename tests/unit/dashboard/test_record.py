"""The record, and the lock that says whether it still counts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nbray.dashboard import record
from nbray.dashboard.record import Serving


def test_a_record_counts_while_its_lock_is_held(tmp_path: Path) -> None:
    assert record.read(tmp_path) is None
    held = record.write(tmp_path, Serving(7, 8265, "k"))
    assert record.read(tmp_path) == Serving(7, 8265, "k")
    assert stat.S_IMODE((tmp_path / record.FILE).stat().st_mode) == 0o600
    os.close(held)  # as when the process is killed
    assert record.read(tmp_path) is None
    record.remove(tmp_path)
    record.remove(tmp_path / "gone")


def test_only_one_starts_at_a_time(tmp_path: Path) -> None:
    with record.gate(tmp_path, 1), pytest.raises(TimeoutError), record.gate(tmp_path, 0.1):
        raise AssertionError
    with record.gate(tmp_path, 1):
        pass
