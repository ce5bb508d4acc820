"""What a machine is asked for."""

from __future__ import annotations

import pytest

from nbray.config import MOST_WORKERS, NodeRequest, most_workers
from nbray.runtime.shell.machine import resources as machine

GB = 1 << 30


@pytest.fixture
def request_of(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def make(memory: int, threads: int = 0, most: int = 0) -> tuple[int, str]:
        monkeypatch.setattr(machine, "memory", lambda: memory)
        monkeypatch.setattr(machine, "cpus", lambda: 2)
        monkeypatch.setattr(machine, "_threads", lambda: threads)
        return machine.workers(NodeRequest(head=True, max_workers=most))

    return make


@pytest.mark.parametrize(
    ("memory", "most"), [(GB // 2, 66), (GB, 67), (8 * GB, 536), (24 * GB, 1610)]
)
def test_workers_follow_the_memory(request_of, memory: int, most: int) -> None:  # type: ignore[no-untyped-def]
    found, why = request_of(memory)
    assert found == most
    assert "twice the memory fits twice as many" in why
    assert MOST_WORKERS in why


def test_threads_that_the_system_allows_are_a_bound(request_of) -> None:  # type: ignore[no-untyped-def]
    found, why = request_of(24 * GB, threads=200)
    assert found == 50
    assert "allows 200 threads" in why


def test_what_is_said_goes_before_all_else(request_of) -> None:  # type: ignore[no-untyped-def]
    assert request_of(GB, threads=10, most=700)[0] == 700


@pytest.mark.parametrize(("said", "most"), [("", 0), ("12", 12), (" 7 ", 7)])
def test_the_variable(monkeypatch: pytest.MonkeyPatch, said: str, most: int) -> None:
    monkeypatch.setenv(MOST_WORKERS, said)
    assert most_workers() == most


@pytest.mark.parametrize("said", ["0", "-3", "many", "1.5", "²"])
def test_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(MOST_WORKERS, said)
    with pytest.raises(ValueError, match="positive whole number"):
        most_workers()
