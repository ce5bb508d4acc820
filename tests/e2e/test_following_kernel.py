"""Displays that go with what they show, in a real kernel; and what stands above what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.front import Front, idle, parent, running

SETUP = "import os, time\n%load_ext nbray\n%nbray start --cpus 2\n@remote\ndef f(): time.sleep(0.1)"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Front]:
    with running(SETUP) as (front, _):
        yield front


def until_there(path: Path) -> str:
    """The line of a cell that waits until there is such a file."""
    return f"import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.02)"


def until(kernel: Front, cell: str, text: str) -> None:
    answer = kernel.answers[cell]
    if text not in answer.shown:
        kernel.until(lambda _: text in answer.shown)


@pytest.mark.parametrize(
    ("options", "code", "end"),
    [
        ("--bg", "", "1 of 1 done"),
        ("--bg", "1 / 0", "ended, 1 failed"),
        ("--bg --name good", "", "1 of 1 done"),
        ("--bg --name bad", "[][1]", "ended, failed"),
    ],
)
def test_a_background_cell_is_shown_as_it_is(
    kernel: Front, options: str, code: str, end: str, tmp_path: Path
) -> None:
    launched = kernel.run(f"%%remote {options}\n{until_there(tmp_path / 'go')}\n{code}")
    assert "0 of 1 done" in launched.shown
    (tmp_path / "go").touch()
    until(kernel, launched.cell, end)


def test_the_table_of_jobs_ends_with_them(kernel: Front, tmp_path: Path) -> None:
    kernel.run(f"%%remote --bg --name long\n{until_there(tmp_path / 'go')}")
    table = kernel.run("%nbray jobs")
    assert "running" in table.shown
    (tmp_path / "go").touch()
    kernel.until(lambda _: "running" not in table.shown and "long" in table.shown)
    again = kernel.run("%nbray jobs")
    assert again.result, "nothing runs: a plain value"


def test_the_tab_key_knows_the_commands(kernel: Front) -> None:
    kernel.client.allow_stdin = False
    reply = kernel.client.complete("%nbray st", 9, reply=True, timeout=60)
    assert {"start", "status", "stop"} <= set(reply["content"]["matches"])


def test_attachs_sentence_stands_above_the_panel(kernel: Front) -> None:
    order: list[str] = []
    answer = kernel.start("%nbray start")  # it says that it runs, and shows link and panel

    def ended(message: dict[str, Any]) -> bool:
        if parent(message) == answer.cell and message["msg_type"] in {"stream", "display_data"}:
            order.append(message["msg_type"])
        return idle(message) and parent(message) == answer.cell

    kernel.until(ended)
    assert order[0] == "stream"
    assert "display_data" in order
