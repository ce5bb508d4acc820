"""What `%load_ext nbray` adds to a notebook, and `%unload_ext nbray` takes back.

Owns the wiring of one IPython shell: the magics, `remote` in the namespace,
the hooks on cells and errors. Does not own
what any of them does. Rule: loading twice changes nothing, and unloading
leaves no hook behind.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from IPython.core.magic import no_var_expand

from nbray import session
from nbray.engine import Engine
from nbray.jupyter import cluster_magic, commands
from nbray.jupyter.failures import errors
from nbray.jupyter.insight import environment, holdings
from nbray.jupyter.insight.signatures import original
from nbray.jupyter.notebook import Notebook, current
from nbray.jupyter.remote.remote_cell import RemoteCells
from nbray.jupyter.waiting import progress
from nbray.patches.ipython_errors import ErrorHandler
from nbray.patches.ipython_inspector import Inspector
from nbray.refs import ObjectRef


class Extension:
    """nbray in one IPython shell, that of *notebook*; *names* are those that it gets."""

    def __init__(self, notebook: Notebook, shell: Any, names: Mapping[str, Any]) -> None:
        self.notebook = notebook
        self._shell = shell
        self._errors = ErrorHandler(shell, errors.SHOWN, errors.show, errors.ours)
        self._inspector = Inspector(shell, original)
        self._remote = RemoteCells(shell)
        self._names = dict(names)

    def install(self) -> None:
        """Add everything. Cells must be followed first: the other hooks ask which cell runs."""
        shell = self._shell
        self.notebook.cells.attach(shell)
        progress.install()
        environment.install(self.notebook, shell)
        holdings.install(self.notebook, shell)
        self._inspector.install()
        shell.events.register("pre_run_cell", self._names_back)
        self.notebook.interrupts.follow(shell)
        shell.events.register("pre_run_cell", self._remote.collect)
        shell.register_magic_function(_literal(self._remote), "cell", "remote")
        shell.register_magic_function(cluster_magic.magic, "line", "nbray")
        shell.set_hook("complete_command", _complete, str_key="%nbray")
        shell.push(self._names)
        self._errors.install()
        self.notebook.puts.append(self.copies)
        session.on_install.append(self._engine_changed)

    def uninstall(self) -> None:
        """Take everything back, except names that the user has given other values."""
        shell = self._shell
        if self._engine_changed in session.on_install:
            session.on_install.remove(self._engine_changed)
        for event, hook in (
            ("pre_run_cell", self._names_back),
            ("pre_run_cell", self._remote.collect),
        ):
            shell.events.unregister(event, hook)
        self.notebook.interrupts.leave(shell)
        magics = shell.magics_manager.magics
        magics["cell"].pop("remote", None)
        magics["line"].pop("nbray", None)
        shell.strdispatchers["complete_command"].strs.pop("%nbray", None)
        shell.drop_by_id(self._names)
        self._errors.uninstall()
        self.notebook.puts.remove(self.copies)
        environment.uninstall(self.notebook, shell)
        holdings.uninstall(self.notebook, shell)
        self._inspector.uninstall()
        progress.uninstall()
        self.notebook.cells.detach()

    def _names_back(self, _info: object = None) -> None:
        """After `%reset`, which forgets all names, have ours again."""
        if self._names.keys().isdisjoint(self._shell.user_ns):
            self._shell.push(self._names)

    def copies(self) -> dict[str, ObjectRef[Any]]:
        """What `%%remote` has put, by the variable's name."""
        return self._remote.capture.copies()

    def _engine_changed(self, _engine: Engine | None) -> None:
        self._remote.forget()


def _complete(_shell: Any, event: Any) -> list[str]:
    return commands.complete(event.line)


def _literal(remote: RemoteCells) -> Callable[[str, str], Any]:
    """The cell magic; IPython must not read the braces of JSON and of sets as variables."""

    @functools.wraps(RemoteCells.magic)
    def magic(line: str, cell: str) -> Any:
        return remote.magic(line, cell)

    no_var_expand(magic)
    return magic


class Extensions:
    """Those of a notebook, by their shells."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self.by_shell: WeakKeyDictionary[Any, Extension] = WeakKeyDictionary()

    def load(self, shell: Any, names: Mapping[str, Any]) -> None:
        """Add nbray to *shell*; loading again changes nothing."""
        if shell not in self.by_shell:
            extension = Extension(self._notebook, shell, names)
            extension.install()
            self.by_shell[shell] = extension

    def unload(self, shell: Any) -> None:
        """Take back what `load` added."""
        extension = self.by_shell.pop(shell, None)
        if extension is not None:
            extension.uninstall()


def load(shell: Any, names: Mapping[str, Any]) -> None:
    """Add nbray to *shell*, with *names* for its notebook; loading again changes nothing."""
    current().part(Extensions).load(shell, names)


def unload(shell: Any) -> None:
    """Take back what `load` added."""
    current().part(Extensions).unload(shell)
