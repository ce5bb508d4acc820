"""The clock of waiting for a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbray.runtime.shell.worker.run_queue import queueing


def test_it_counts_from_its_start_and_looks_now_and_then(tmp_path: Path) -> None:
    now = [10.0]
    path = tmp_path / "schedstat"
    path.write_text("5 2000000000 7\n")
    look = queueing(str(path), lambda: now[0])
    assert look() == 0
    path.write_text("5 3500000000 9\n")
    assert look() == 0
    now[0] += 0.06
    assert look() == pytest.approx(1.5)


@pytest.mark.parametrize("text", ["", "5", "x y z", None])
def test_where_nobody_counts_it_is_zero(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "schedstat"
    if text is not None:
        path.write_text(text)
    assert queueing(str(path))() == 0
