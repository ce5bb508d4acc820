"""Receipts, nested bars and references as they complete, in a real kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from e2e.front import Answer, Front, idle, parent, running
from nbclient import NotebookClient
from nbconvert import HTMLExporter

SETUP = """
import time
%load_ext nbray
%nbray start --cpus 2

@remote
def take(seconds):
    time.sleep(seconds)

@remote
def parent(seconds):
    nbray.get([take.remote(seconds) for _ in range(4)])
"""


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(SETUP) as (made, _):
        yield made


def shown_as(answer: Answer, kind: str) -> list[dict[str, Any]]:
    """The displays under a cell whose HTML has this class."""
    return [
        data
        for data in answer.displays.values()
        if kind in data.get("text/html", "").rpartition("</style>")[2].partition(">")[0]
    ]


def receipts(answer: Answer) -> list[dict[str, Any]]:
    return shown_as(answer, "nbray-receipt")


def test_a_cell_with_work_ends_with_one_receipt_at_its_end(front: Front) -> None:
    answer = front.run("_ = nbray.get([take.remote(0.2) for _ in range(12)]); print('after')")
    (shown,) = receipts(answer)
    assert list(answer.displays.values())[-1] == shown
    assert set(shown) == {"text/html", "text/plain"}
    assert re.match(r"Receipt: 12 tasks on 1 node in \d", shown["text/plain"])
    assert "× serial · " in shown["text/plain"]
    assert "<details><summary><b>Receipt</b>" in shown["text/html"]
    assert "<script" not in shown["text/html"]


def test_what_the_cell_prints_itself_comes_before_its_receipt(front: Front) -> None:
    seen: list[str] = []

    def look(message: dict) -> bool:  # type: ignore[type-arg]
        seen.append(str(message["content"]))
        return idle(message) and parent(message) == answer.cell

    answer = front.start("_ = nbray.get([take.remote(0.2) for _ in range(12)]); print('after')")
    front.until(look)
    (printed,) = [at for at, text in enumerate(seen) if "'text': 'after" in text]
    (receipt,) = [at for at, text in enumerate(seen) if "<b>Receipt</b>" in text]
    assert printed < receipt


def test_cheap_cells_show_nothing(front: Front) -> None:
    for code in ("1 + 1", "_ = nbray.get([take.remote(0) for _ in range(50)])", "time.sleep(1.2)"):
        assert front.run(code).displays == {}


def test_a_straggler_is_named(front: Front) -> None:
    answer = front.run("_ = nbray.get([take.remote(0.05) for _ in range(20)] + [take.remote(2)])")
    (shown,) = receipts(answer)
    assert re.search(r"one task of [2-9](\.\d)? s held the rest back", shown["text/html"])
    assert "start it first, or split it" in shown["text/plain"]


def test_work_that_goes_on_after_its_cell_gets_its_receipt_later(front: Front) -> None:
    answer = front.run("refs = [take.remote(0.5) for _ in range(6)]")
    (place,) = receipts(answer)
    assert place["text/plain"] == ""
    front.run("_ = nbray.wait(refs, num_returns=6)")
    if not receipts(answer)[0]["text/plain"]:
        front.until(lambda _: receipts(answer)[0]["text/plain"])
    (shown,) = receipts(answer)
    assert shown["text/plain"].startswith("Receipt: 6 tasks on 1 node")


def test_nested_tasks_roll_up_into_the_bar_of_the_launching_cell(front: Front) -> None:
    answer = front.run("_ = nbray.get([parent.remote(0.3) for _ in range(3)])")
    (bars,) = shown_as(answer, "nbray-progress")
    assert "15 of 15" in bars["text/plain"]
    (shown,) = receipts(answer)
    assert shown["text/plain"].startswith("Receipt: 15 tasks on 1 node")
    assert "serial" not in shown["text/plain"]
    assert "12 of these were launched by other tasks" in shown["text/html"]


def test_a_loop_over_progress_shows_bars_though_no_single_wait_is_long(front: Front) -> None:
    answer = front.run("for ref in nbray.progress([take.remote(0.2) for _ in range(8)]): pass")
    assert any("8 of 8" in data["text/plain"] for data in answer.displays.values())
    answer = front.run(
        "async for ref in nbray.progress([take.remote(0.2) for _ in range(8)]): await ref"
    )
    assert not answer.error, answer.traceback
    assert any("8 of 8" in data["text/plain"] for data in answer.displays.values())


def test_the_final_bar_is_red_with_the_count_that_failed(front: Front) -> None:
    answer = front.run(
        "@remote\ndef bad(i):\n    time.sleep(0.2)\n    if i % 4 == 0: raise ValueError(i)\n"
        "_ = nbray.wait([bad.remote(i) for i in range(12)], num_returns=12)"
    )
    (bars,) = shown_as(answer, "nbray-final")
    assert "9 of 12" in bars["text/html"]
    assert '<span class="nbray-red">3 failed</span>' in bars["text/html"]


@pytest.mark.slow
def test_a_saved_notebook_shows_receipt_and_timeline_without_scripts() -> None:
    codes = (
        SETUP, "_ = nbray.get([take.remote(0.2) for _ in range(12)])", "nbray.timeline(2)",
        "%nbray stop",
    )  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    saved = nbformat.reads(nbformat.writes(notebook), as_version=4)
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(saved)
    assert "<summary><b>Receipt</b> · 12 tasks on 1 node" in html
    assert 'aria-label="Timeline: 12 tasks on 2 workers' in html
