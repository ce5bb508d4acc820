"""Which nodes are asked, which packages matter, and under which cell the table comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_kernel import Kernel, Shell

from nbray import session
from nbray.config import InitConfig
from nbray.engines.parts import OneMachine
from nbray.engines.scripted import ScriptedEngine
from nbray.exceptions import RaySystemError
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.insight import environment
from nbray.jupyter.insight.environment import Environments, imported
from nbray.jupyter.insight.installed import Installed, installed
from nbray.jupyter.notebook import current

HERE = installed().versions
SVC = type("SVC", (), {"__module__": "sklearn.svm"})
"""A class of a package whose modules are called otherwise; to import it takes two seconds."""


class Machines(OneMachine):
    """Numbered ones, each with its changes."""

    changes: tuple[dict[str, str], ...] = ()

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeNumber": number, "NodeManagerHostname": f"node-{number}", "Alive": True}
            for number, _ in enumerate(self.changes, 1)
        ]


class Engine(ScriptedEngine):
    """Nodes that answer with what they were given."""

    def __init__(self, *changes: dict[str, str]) -> None:
        super().__init__()
        self.cluster: Machines = Machines("n1")
        self.cluster.changes = changes
        self.asked: list[int] = []
        self.fails = False

    def submit(self, function: Any, args: Any, kwargs: Any, options: Any) -> list[Any]:
        assert function.call is installed
        assert options.num_cpus == 0
        self.asked.append(options.node)
        return [options.node]

    def get(self, refs: list[Any], timeout: float | None) -> list[Any]:
        if self.fails:
            raise RaySystemError("no such task")
        return [Installed({**HERE, **self.cluster.changes[refs[0] - 1]}, "/usr/bin/python3")]


class Notebook:
    def __init__(self) -> None:
        self.kernel = Kernel()
        self.shell = Shell(self.kernel)
        self.cells = Cells()
        self.cells.attach(self.shell)
        self.names: dict[str, Any] = {}
        self.environments = Environments(self.cells, lambda: self.names)
        self.cells.on_end.append(self.environments.look)
        self.shell.events.register("pre_run_cell", self.environments.before_cell)

    def start(self, cell: str) -> None:
        self.kernel.receive(cell)
        self.shell.events.fire("pre_run_cell")

    def end(self) -> None:
        self.shell.events.fire("post_run_cell")

    def run(self, cell: str) -> None:
        self.start(cell)
        self.end()
        self.answered()

    def answered(self) -> None:
        thread = self.environments._thread
        if thread is not None:
            thread.join()

    def shown(self) -> list[tuple[str, str]]:
        """(cell, text) of every table."""
        return [
            (message["parent"]["header"]["msg_id"], message["content"]["data"]["text/plain"])
            for message in self.kernel.sent
            if message["content"]["data"]["text/plain"]
        ]


@pytest.fixture
def notebook():
    yield Notebook()
    session.install(None)


def attach_to(engine: Engine, address: str = "10.0.0.1:6379") -> None:
    session.install(engine, InitConfig(address=address))  # type: ignore[arg-type]


def test_the_packages_of_variables_matter() -> None:
    assert imported([np, SVC, SVC(), np.ones(2), 3, "x", __import__("os")]) == {"numpy", "sklearn"}


def test_a_difference_is_shown_once_under_the_attaching_cell(notebook: Notebook) -> None:
    notebook.names |= {"np": np, "SVC": SVC}
    engine = Engine({}, {"numpy": "0.1", "scikit-learn": "", "pandas": "9"})
    attach_to(engine)
    notebook.start("attaching")
    notebook.environments.attached()
    notebook.answered()
    notebook.end()
    ((cell, text),) = notebook.shown()
    assert cell == "attaching"
    assert "node-2" in text
    assert f"numpy         {HERE['numpy']}" in text
    assert "missing" in text
    assert "pandas" not in text
    notebook.run("next")
    assert len(notebook.shown()) == 1
    assert engine.asked == [1, 2]


def test_an_answer_that_comes_late_fills_the_attaching_cells_display(notebook: Notebook) -> None:
    notebook.names["np"] = np
    attach_to(Engine({"numpy": "0.1"}))
    notebook.start("attaching")
    thread_free = notebook.environments._lock
    with thread_free:  # the answer waits
        notebook.environments.attached()
        notebook.cells.on_end.clear()
        notebook.end()
    notebook.answered()
    first, second = notebook.kernel.sent
    assert first["content"]["transient"] == second["content"]["transient"]
    assert second["kind"] == "update_display_data"


def test_a_machine_that_joins_is_told_under_the_next_cell(notebook: Notebook) -> None:
    notebook.names["np"] = np
    engine = Engine({})
    attach_to(engine, "local")
    notebook.run("one")
    assert engine.asked == []
    engine.cluster.changes = ({}, {"numpy": "0.1"})
    notebook.run("two")
    assert notebook.shown() == []
    notebook.run("three")
    assert [cell for cell, _ in notebook.shown()] == ["three"]
    assert engine.asked == [2]


def test_what_is_imported_later_is_compared_then(notebook: Notebook) -> None:
    engine = Engine({"numpy": "0.1"})
    attach_to(engine)
    notebook.run("one")
    notebook.run("two")
    assert notebook.shown() == []
    notebook.names["np"] = np
    notebook.run("three")
    assert [cell for cell, _ in notebook.shown()] == ["three"]
    assert engine.asked == [1]


def test_a_node_that_cannot_answer_is_let_be(notebook: Notebook) -> None:
    engine = Engine({"numpy": "0.1"})
    engine.fails = True
    notebook.names["np"] = np
    attach_to(engine)
    notebook.run("one")
    notebook.run("two")
    assert notebook.shown() == []
    assert engine.asked == [1]


def test_another_cluster_is_asked_anew(notebook: Notebook) -> None:
    notebook.names["np"] = np
    for _ in range(2):
        attach_to(Engine({"numpy": "0.1"}))
        notebook.run("one")
        notebook.run("two")
    assert len(notebook.shown()) == 2


def test_installing_leaves_no_hook(ip: Any) -> None:
    own = current().part(environment.environments)
    assert own.before_cell in ip.events.callbacks["pre_run_cell"]
    ip.run_cell("%unload_ext nbray").raise_error()
    assert own.before_cell not in ip.events.callbacks["pre_run_cell"]
