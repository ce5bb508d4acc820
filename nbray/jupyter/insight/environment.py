"""Do other nodes have the packages that this notebook uses?

Owns when nodes are asked, what of the answer matters, and where the table
appears. Does not own how it looks (`view.environment`). Rule: nobody waits for
it. A node is asked once, by an ordinary task, from a thread of its own; after
that a cell's end costs a look at the notebook's variables.
"""

from __future__ import annotations

import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nbray import session
from nbray.engine import Engine, Function
from nbray.exceptions import RayError
from nbray.ids import OWN_CELL
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.insight.installed import Installed, installed, normal
from nbray.jupyter.notebook import Notebook
from nbray.options import TaskOptions
from nbray.view.environment import Difference, Mismatch, environment_html, environment_text

PATIENCE = 60.0
"""Seconds a node has for its answer."""
ALWAYS = frozenset({"cloudpickle"})
"""Packages that every task passes through."""


class Environments:
    """The notebook's packages against those of the cluster's nodes.

    Args:
        cells: where tables are shown.
        names: the notebook's variables.
    """

    def __init__(self, cells: Cells, names: Callable[[], Mapping[str, Any]]) -> None:
        self._cells = cells
        self._names = names
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._asked: set[int] = set()
        self._answers: dict[int, tuple[str, Installed]] = {}
        self._told: set[tuple[int, str]] = set()
        self._packages: dict[str, str] = {}
        """Name of an imported module to its package, of this environment."""
        self._here: Mapping[str, str] = {}
        self._waiting = ""
        """Display that is kept free under an attaching cell, until the answers are there."""
        self._thread: threading.Thread | None = None

    def attached(self) -> None:
        """The running cell has attached to a cluster: the answer belongs under it."""
        self.look(session.cell.get(), keep=self._cells.kernel is not None)

    def look(self, cell: str, keep: bool = False) -> None:
        """Ask nodes that have not been asked, and compare what is known (at a cell's end)."""
        engine = session.current()
        if engine is None:
            return
        try:
            others = self._others(engine)
        except (RayError, OSError):  # the cluster is going down
            return
        if not others:
            return
        if others.keys() - self._asked and (self._thread is None or not self._thread.is_alive()):
            new = {number: others[number] for number in others.keys() - self._asked}
            self._asked |= new.keys()
            if keep:
                self._waiting = uuid.uuid4().hex
                empty = {"text/html": "", "text/plain": ""}
                self._cells.display(cell, empty, display_id=self._waiting)
            self._thread = threading.Thread(
                target=self._ask, args=(engine, new, cell), name="nbray-environment", daemon=True
            )
            self._thread.start()
        else:
            self._tell(cell)

    def before_cell(self, _info: object = None) -> None:
        """A cell begins: show what no running cell was there for."""
        self._tell(session.cell.get())

    # -- asking -----------------------------------------------------------------

    def _others(self, engine: Engine) -> dict[int, str]:
        """Number and name of the live nodes whose environment may be another one."""
        if engine is not self._engine:
            self._engine = engine
            self._asked.clear()
            self._answers.clear()
            self._told.clear()
        alive = [
            node
            for node in engine.cluster.nodes()
            if node.get("Alive", True) and node.get("NodeNumber")
        ]
        hosts = Counter(node["NodeManagerHostname"] for node in alive)
        nodes = {}
        for node in alive:
            number, host = int(node["NodeNumber"]), str(node["NodeManagerHostname"])
            nodes[number] = host if hosts[host] == 1 else f"{host} (node {number})"
        started = session.started_with()
        if nodes and (started is None or started.address in {"", "local"}):
            del nodes[min(nodes)]  # this kernel started it
        return nodes

    def _ask(self, engine: Engine, nodes: Mapping[int, str], cell: str) -> None:
        function = Function(installed, "installed")
        session.cell.set(OWN_CELL)  # of this thread alone, which does nothing else
        try:
            if not self._here:
                self._here = installed().versions
                self._packages = _packages()
            for number, name in nodes.items():
                options = TaskOptions(num_cpus=0, node=number, max_retries=0)
                ref = engine.submit(function, (), {}, options)[0]
                try:
                    answer = engine.get([ref], PATIENCE)[0]
                except RayError:  # it has left, or its nbray knows no such task
                    continue
                self._answers[number] = (name, answer)
        except (RayError, OSError, RuntimeError):  # the cluster or the kernel is ending
            return
        running = self._cells.carrier("")
        if self._waiting or running:
            self._tell(running or cell)

    # -- comparing ----------------------------------------------------------------

    def _tell(self, cell: str) -> None:
        if not self._answers:
            return
        with self._lock:
            found = self._mismatches()
            display, self._waiting = self._waiting, ""
        if found:
            data = {"text/html": environment_html(found), "text/plain": environment_text(found)}
            self._cells.display(cell, data, display_id=display, update=bool(display))

    def _mismatches(self) -> list[Mismatch]:
        """What differs and has not been told."""
        used = self._used()
        groups: dict[tuple[tuple[Difference, ...], str], list[str]] = {}
        for number, (name, there) in sorted(self._answers.items()):
            rows = tuple(
                Difference(package, self._here[package], there.versions.get(package, ""))
                for package in sorted(used)
                if self._here[package] != there.versions.get(package, "")
                and (number, package) not in self._told
            )
            if rows:
                self._told |= {(number, row.package) for row in rows}
                groups.setdefault((rows, there.executable), []).append(name)
        return [Mismatch(tuple(names), rows, python) for (rows, python), names in groups.items()]

    def _used(self) -> set[str]:
        """Packages that the notebook's variables come from."""
        tops = imported(self._names().values())
        packages = {self._packages.get(top, normal(top)) for top in tops} | ALWAYS
        return {package for package in packages if package in self._here}


def imported(values: Iterable[Any]) -> set[str]:
    """Top-level modules that *values* are, or were defined in."""
    found = set()
    for value in list(values):
        module = type(sys)
        name = value.__name__ if isinstance(value, module) else getattr(value, "__module__", None)
        if isinstance(name, str):
            found.add(name.partition(".")[0])
    return found - {"__main__", "builtins", "nbray"} - sys.stdlib_module_names


def _packages() -> dict[str, str]:
    """Top-level module to the package that it belongs to, of this environment."""
    from importlib import metadata

    return {name: normal(owners[0]) for name, owners in metadata.packages_distributions().items()}


def environments(notebook: Notebook) -> Environments:
    """The part of a notebook (see `Notebook.part`)."""
    cells = notebook.attach().cells

    def names() -> Mapping[str, Any]:
        shell = cells.shell
        hidden = getattr(shell, "user_ns_hidden", {})
        variables = dict(getattr(shell, "user_ns", {}))
        return {
            name: value
            for name, value in variables.items()
            if not name.startswith("_") and hidden.get(name) is not value
        }

    return Environments(cells, names)


def install(notebook: Notebook, shell: Any) -> None:
    """Compare after each cell of *notebook*, which *shell* runs."""
    own = notebook.part(environments)
    notebook.cells.on_end.append(own.look)
    shell.events.register("pre_run_cell", own.before_cell)


def uninstall(notebook: Notebook, shell: Any) -> None:
    """Compare no more."""
    own = notebook.part(environments)
    if own.look in notebook.cells.on_end:
        notebook.cells.on_end.remove(own.look)
        shell.events.unregister("pre_run_cell", own.before_cell)
