"""What belongs to a cell, over Ray: prints, displays, counts, Stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from harness import eventually

import nbray
from nbray.engine import Engine
from nbray.events import Display, Output
from nbray.exceptions import RaySystemError, TaskCancelledError


@nbray.remote(num_cpus=0)
def says(text: str) -> str:
    print(text)
    print("aside", file=sys.stderr)
    return text


@nbray.remote(num_cpus=0)
def shows() -> None:
    from IPython.display import display

    display({"text/plain": "a picture"}, raw=True)


@nbray.remote(num_cpus=0)
def launches(count: int) -> int:
    return len(nbray.get([says.remote(f"inner {i}") for i in range(count)]))


@nbray.remote(num_cpus=0)
def sleeps(seconds: float = 60.0) -> None:
    print("begun")
    time.sleep(seconds)


@nbray.remote(num_cpus=0)
def loops() -> None:
    print("begun")
    while True:
        pass


@nbray.remote(num_cpus=0)
def multiplies() -> None:
    import numpy as np

    print("begun")
    some = np.ones((300, 300))
    while True:
        some = some @ some % 7


@nbray.remote(num_cpus=0)
def parent() -> None:
    refs = [sleeps.options(resources={"special": 2}).remote() for _ in range(3)]
    print("begun")
    nbray.get(refs)


@nbray.remote(num_cpus=0)
class Counter:
    def __init__(self) -> None:
        self.count = 0

    def more(self) -> int:
        self.count += 1
        return self.count

    def sleep(self) -> None:
        print("begun")
        time.sleep(60)


@nbray.remote(num_cpus=0)
def dies_once(path: str) -> int:
    print("begun")
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 3


@nbray.remote(num_cpus=0, max_retries=0)
def dies() -> None:
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)


@nbray.remote(num_cpus=0)
def below() -> None:
    subprocess.run(["echo", "from a child"], check=True)


@nbray.remote(num_cpus=0)
def fails() -> float:
    return 1 / 0


def begun(notebook: Any) -> None:
    assert eventually(lambda: "begun" in notebook.text)


def test_prints_come_under_their_cell(notebook: Any) -> None:
    assert nbray.get(says.remote("hello")) == "hello"
    assert eventually(lambda: "hello" in notebook.text and "aside" in notebook.text)
    said = next(one for one in notebook.events if isinstance(one, Output))
    assert (said.task, said.node, said.stream) == ("says", 1, "stdout")
    streams = {one.stream for one in notebook.events if isinstance(one, Output)}
    assert streams == {"stdout", "stderr"}
    assert ":task_name:" not in notebook.text


def test_displays_come_under_their_cell(notebook: Any) -> None:
    nbray.get(shows.remote())
    assert eventually(lambda: any(isinstance(one, Display) for one in notebook.events))
    shown = next(one for one in notebook.events if isinstance(one, Display))
    assert shown.data["text/plain"] == "a picture"


def test_counts_and_times(notebook: Any) -> None:
    nbray.get([sleeps.remote(0.05) for _ in range(4)])
    view = notebook.settled()
    assert (view.submitted, view.done, view.failed, view.measured) == (4, 4, 0, 4)
    assert view.work >= 0.2 and view.longest >= 0.05 and view.workers
    assert [node.number for node in view.nodes] == [1]


def test_nested_tasks_count_with_their_cell(notebook: Any) -> None:
    assert nbray.get(launches.remote(3)) == 3
    view = notebook.settled(lambda view: view.nested == 3 and view.finished)
    assert view.submitted == view.done == 4
    assert eventually(lambda: "inner 2" in notebook.text)


def test_failures_are_counted(notebook: Any, tmp_path: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        nbray.get(fails.remote())
    with pytest.raises(nbray.exceptions.WorkerCrashedError):
        nbray.get(dies.remote())
    assert nbray.get(dies_once.remote(str(tmp_path / "once"))) == 3
    view = notebook.settled()
    assert (view.submitted, view.done, view.failed) == (3, 1, 2)


@pytest.mark.parametrize("task", [sleeps, loops, multiplies], ids=lambda one: one.__name__)
def test_stop_ends_what_runs(notebook: Any, task: Any) -> None:
    ref = task.remote()
    begun(notebook)
    assert notebook.engine.cells.cancel(notebook.cell, force=False) == 1
    with pytest.raises(TaskCancelledError):
        nbray.get(ref, timeout=20)
    assert notebook.settled().cancelled == 1


def test_stop_ends_a_call_and_its_actor_keeps_its_state(notebook: Any) -> None:
    counter = Counter.remote()
    assert nbray.get(counter.more.remote()) == 1
    ref = counter.sleep.remote()
    begun(notebook)
    notebook.engine.cells.cancel(notebook.cell, force=False)
    with pytest.raises(TaskCancelledError):
        nbray.get(ref, timeout=20)
    assert nbray.get(counter.more.remote(), timeout=20) == 2


def test_stop_ends_what_waits_and_what_tasks_have_launched(notebook: Any) -> None:
    ref = parent.remote()
    begun(notebook)
    notebook.settled(lambda view: view.nested == 3)
    notebook.engine.cells.cancel(notebook.cell, force=False)
    with pytest.raises(TaskCancelledError):
        nbray.get(ref, timeout=20)
    # What they took is free again: nothing of them runs, and nothing waits.
    assert nbray.get(says.options(resources={"special": 2}).remote("free"), timeout=20) == "free"


def test_cancel_interrupts(notebook: Any) -> None:
    ref = sleeps.remote()
    begun(notebook)
    nbray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        nbray.get(ref, timeout=20)


def test_the_panel_has_rays_nodes_and_says_what_it_cannot_do(engine: Engine) -> None:
    engine.cells.on_output(lambda _: None)
    assert eventually(lambda: engine.insight.snapshot().nodes[0].figures.memory_total > 0)
    assert engine.insight.snapshot().nodes[0].resources["CPU"] == 4
    assert eventually(lambda: engine.insight.snapshot().nodes[0].figures.cpu_percent > 0)
    assert "ray start" in engine.capabilities.nodes
    with pytest.raises(RaySystemError, match="ray stop"):
        engine.cluster.end_node(1, gently=True)


def test_maps_count_their_items(notebook: Any) -> None:
    assert sum(nbray.util.map(abs, range(1000))) == 499500
    view = notebook.settled()
    assert (view.submitted, view.done, view.items) == (1000, 1000, 1000)


def test_other_drivers_do_not_see_nbrays_own_actors(engine: Engine) -> None:
    assert all("_nbray" not in space for space, _ in engine.actors.names(all_namespaces=True))
