"""Fixtures of the end-to-end tests: leak checks always on, and two machines on this one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.netns import TwoMachines, available
from harness import require_or_skip


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(no_leaks: None) -> None:
    """Every module here is checked."""


@pytest.fixture
def machines() -> Iterator[TwoMachines]:
    """Two network namespaces that see each other as 172.17.0.2 and 172.17.0.3."""
    reason = available()
    if reason:
        require_or_skip(reason)
    two = TwoMachines.make()
    try:
        yield two
    finally:
        two.close()
