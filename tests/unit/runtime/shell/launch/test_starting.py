"""Why a node did not start: what is told of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbray.runtime.shell.launch.starting import _cause


@pytest.fixture
def errors() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def test_what_was_said_last_is_the_cause(tmp_path: Path, errors: tuple[int, int]) -> None:
    read, write = errors
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "root.log").write_text("")
    (tmp_path / "logs" / "head.log").write_text("Traceback\nOSError: no space left\n\n")
    (tmp_path / "logs" / "node.log").write_text("waiting\n")
    assert _cause(read, tmp_path) == "its head said: OSError: no space left"
    os.write(write, b"Traceback\nModuleNotFoundError: No module named 'msgspec'\n")
    assert _cause(read, tmp_path) == "ModuleNotFoundError: No module named 'msgspec'"


def test_where_nothing_was_said_it_is_how_far_it_came(
    tmp_path: Path, errors: tuple[int, int]
) -> None:
    read, _ = errors
    assert " was still loading nbray " in _cause(read, tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "root.log").write_text("")
    assert _cause(read, tmp_path).startswith("its processes were not yet forked; the load here is ")
    (tmp_path / "logs" / "node.log").write_text("")
    cause = _cause(read, tmp_path)
    assert cause.startswith("its processes run, but have not found each other; ")
    assert cause.endswith(f" on {os.cpu_count()} CPUs")
