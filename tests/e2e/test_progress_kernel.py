"""Bars and panel in a real kernel: what the front end hears, and what a save holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient

SETUP = """
import threading, time
from nbray import session
from nbray.engines.parts import PlainInsight
from nbray.engines.scripted import ScriptedEngine
from nbray.events import CellView, Figures, NodeCounts, NodeView, Snapshot
from nbray.jupyter.waiting import progress
from nbray.jupyter.notebook import current

class Story(PlainInsight):
    def __init__(self):
        super().__init__()
        self.done, self.of, self.cell, self.failed, self.cpu = 0, 10, "", 0, 5.0
        self.started = time.monotonic()
    def snapshot(self):
        nodes = (NodeCounts(1, "one", self.done, 1 if self.done + self.failed < self.of else 0,
                            self.failed),)
        view = CellView(self.cell, self.of, nodes, self.started, time.monotonic())
        seen = NodeView(1, "a", "one", "127.0.0.1", figures=Figures(self.cpu))
        return Snapshot(nodes=(seen,), cells={self.cell: view})

scripted = ScriptedEngine()
engine = scripted.insight = Story()
session.install(scripted)
progress.DELAY = 0.2
assert progress.install()

def work(until, step=0.05):
    engine.cell = session.cell.get()
    with session.watcher()():
        time.sleep(0.4)
        while engine.done < until:
            engine.done += 1
            time.sleep(step)
"""
WIDGET = "application/vnd.jupyter.widget-view+json"


class Front:
    """A front end that keeps every message, with the cell whose answer it is."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.heard: list[dict[str, Any]] = []

    def run(self, code: str) -> str:
        """Run a cell to its end; its message's id."""
        cell = self.client.execute(code)
        until = time.monotonic() + 120
        while time.monotonic() < until:
            message = self.client.get_iopub_msg(timeout=150)
            self.heard.append(message)
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            ours = message["parent_header"].get("msg_id") == cell
            if ours and message["content"].get("execution_state") == "idle":
                return cell
        raise AssertionError("the cell never ended")

    def of(self, kind: str, cell: str = "") -> list[dict[str, Any]]:
        """The messages of *kind*, of one cell or of all."""
        return [
            message
            for message in self.heard
            if message["msg_type"] == kind and cell in {"", message["parent_header"].get("msg_id")}
        ]

    def update(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The content of the last update of a display, once its data is what is *wanted*."""
        until = time.monotonic() + 60
        while True:
            found: dict[str, Any] = self.of("update_display_data")[-1]["content"]
            if wanted(found["data"]):
                return found
            assert time.monotonic() < until, found
            self.run("time.sleep(0.1)")


@pytest.fixture
def front() -> Iterator[Front]:
    manager: KernelManager
    manager, client = start_new_kernel(kernel_name="python3")
    made = Front(client)
    made.run(SETUP)
    yield made
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def test_bars_move_and_come_to_rest_in_their_cell(front: Front) -> None:
    cell = front.run("work(10, step=0.2)")
    shown = front.of("display_data", cell)
    assert len(shown) == 1
    assert set(shown[0]["content"]["data"]) == {WIDGET, "text/html", "text/plain"}
    states = [
        message["content"]["data"]["state"]["value"]
        for message in front.of("comm_msg")
        if "value" in message["content"]["data"].get("state", {})
    ]
    assert len(set(states)) > 2
    final = front.of("update_display_data", cell)[-1]["content"]
    assert set(final["data"]) == {"text/html", "text/plain"}
    assert "10 of 10" in final["data"]["text/html"]
    assert "10 of 10" in final["data"]["text/plain"]
    assert final["transient"] == shown[0]["content"]["transient"]


def test_a_short_wait_shows_nothing(front: Front) -> None:
    cell = front.run("with session.watcher()(): pass")
    assert front.of("display_data", cell) == []


def test_output_of_a_thread_stays_with_its_cell_while_another_runs(front: Front) -> None:
    first = front.run(
        "def late(cell=session.cell.get()):\n"
        "    time.sleep(0.5)\n"
        "    current().cells.stream(cell, 'late from first\\n')\n"
        "thread = threading.Thread(target=late)\n"
        "thread.start()"
    )
    front.run("thread.join(); time.sleep(0.1); print('second')")
    (late,) = [m for m in front.of("stream") if "late" in m["content"]["text"]]
    assert late["parent_header"]["msg_id"] == first


def test_work_that_outlives_its_cell_ends_its_bars_later(front: Front) -> None:
    first = front.run("work(5)")
    kept = front.of("update_display_data", first)[-1]["content"]
    assert WIDGET in kept["data"]
    assert "5 of 10" in kept["data"]["text/html"]
    front.run("engine.done = 10")
    final = front.update(lambda data: "10 of 10" in data["text/html"] and WIDGET not in data)
    assert final["transient"] == kept["transient"]


def test_an_interrupted_wait_leaves_a_kernel_that_works(front: Front) -> None:
    front.run("try:\n    work(3)\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt: pass")
    front.run("session.install(None)")
    assert front.update(lambda data: "7 cancelled" in data["text/html"])
    front.run("assert threading.active_count() < 20")


def test_the_panel_moves_and_is_saved(front: Front) -> None:
    cell = front.run("import nbray\nnbray.panel()")
    (shown,) = front.of("display_data", cell)
    assert set(shown["content"]["data"]) == {WIDGET, "text/html", "text/plain"}
    assert "1 node" in shown["content"]["data"]["text/plain"]
    second = front.run("engine.cpu = 77.0; time.sleep(1.5)")
    values = [
        m["content"]["data"]["state"]["value"]
        for m in front.of("comm_msg")
        if "value" in m["content"]["data"].get("state", {})
    ]
    assert any("77%" in value for value in values)
    (saved,) = front.of("update_display_data", second)
    assert "77%" in saved["content"]["data"]["text/html"]
    third = front.run("session.install(None)")
    rest = front.of("update_display_data", third)[-1]["content"]["data"]
    assert set(rest) == {"text/html", "text/plain"}
    assert "stopped" in rest["text/html"]


def test_a_headless_run_saves_the_final_bars_and_ends() -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code) for code in (SETUP, "engine.failed = 2\nwork(8)")]
    )
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[1].outputs
    assert [output.output_type for output in outputs] == ["display_data"]
    data = outputs[0].data
    assert WIDGET not in data
    assert "8 of 10" in data["text/html"]
    assert '<span class="nbray-red">2 failed</span>' in data["text/html"]
    assert "<script" not in data["text/html"]
    assert "2 failed" in data["text/plain"]
