"""Clusters that outlived their notebook, as another one tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.config import Owner
from nbray.exceptions import RaySystemError
from nbray.jupyter.panel.staying import staying
from nbray.runtime.shell.launch.rundir import Record


def record(port: int, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "directory": f"/run/{port}", "root_pid": 1, "root_started": 0.0, "node": 1, "head": True,
        "address": f"127.0.0.1:{port}", "head_address": f"127.0.0.1:{port}", "secret": "hush",
        "node_ip": "127.0.0.1", "version": "0.1.0", "python": "3.11.7", "owner": Owner.DETACHED,
        "created": 1.0, "cluster": "00aa", "executable": "/env/bin/python",
    }  # fmt: skip
    return Record(**{**values, **changes})


class Kept:
    """What a launcher knows; refuses if it has nothing."""

    def __init__(self, *records: Record) -> None:
        self._records = records

    def records(self) -> list[Record]:
        if not self._records:
            raise RaySystemError("the run directory cannot be read")
        return list(self._records)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ((), ""),
        ((record(1, owner=Owner.DAEMON), record(2, owner=Owner.DRIVER)), ""),
        ((record(3, head=False, owner=Owner.DETACHED),), ""),
        ((record(4), record(5, owner=Owner.DAEMON)), "runs here, too, at 127.0.0.1:4: for its"),
        ((record(6), record(7)), "2 clusters that outlived their notebooks run here, too, at 127."),
    ],
)  # fmt: skip
def test_those_that_a_notebook_left_behind_are_told(
    records: tuple[Record, ...], said: str
) -> None:
    told = staying(Kept(*records))  # type: ignore[arg-type]  # only its records are asked for
    assert said in told
    assert "hush" not in told
    assert bool(told) == bool(said)
