"""What `%load_ext nbray` adds to a notebook, and `%unload_ext nbray` takes back.

Owns the wiring of one IPython shell: the magics, `remote` in the namespace,
the hooks on cells and errors. Does not own
what any of them does. Rule: loading twice changes nothing, and unloading
leaves no hook behind.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from IPython.core.magic import no_var_expand

from nbray import session
from nbray.engine import Engine
from nbray.jupyter import (
    cells,
    cluster_magic,
    environment,
    errors,
    holdings,
    progress,
    signatures,
)
from nbray.jupyter.logs import Logs
from nbray.jupyter.remote_cell import RemoteCells
from nbray.jupyter.stop import InterruptHook
from nbray.refs import ObjectRef


class Extension:
    """nbray in one IPython shell; *names* are those that the notebook gets."""

    def __init__(self, shell: Any, names: Mapping[str, Any]) -> None:
        self._shell = shell
        self._remote = RemoteCells(shell)
        self._interrupts = InterruptHook()
        self._names = dict(names)

    def install(self) -> None:
        """Add everything. Cells must be followed first: the other hooks ask which cell runs."""
        shell = self._shell
        cells.cells().attach(shell)
        progress.install()
        environment.install(shell)
        holdings.install(shell)
        signatures.install(shell)
        shell.events.register("pre_run_cell", self._names_back)
        shell.events.register("pre_run_cell", self._interrupts.before)
        shell.events.register("pre_run_cell", self._remote.collect)
        shell.events.register("post_run_cell", self._interrupts.after)
        shell.register_magic_function(_literal(self._remote), "cell", "remote")
        shell.register_magic_function(cluster_magic.magic, "line", "nbray")
        shell.set_hook("complete_command", _complete, str_key="%nbray")
        shell.push(self._names)
        shell.set_custom_exc(errors.SHOWN, errors.show)
        session.on_install.append(self._engine_changed)

    def uninstall(self) -> None:
        """Take everything back, except names that the user has given other values."""
        shell = self._shell
        if self._engine_changed in session.on_install:
            session.on_install.remove(self._engine_changed)
        for event, hook in (
            ("pre_run_cell", self._names_back),
            ("pre_run_cell", self._interrupts.before),
            ("pre_run_cell", self._remote.collect),
            ("post_run_cell", self._interrupts.after),
        ):
            shell.events.unregister(event, hook)
        self._interrupts.let_go()
        magics = shell.magics_manager.magics
        magics["cell"].pop("remote", None)
        magics["line"].pop("nbray", None)
        shell.strdispatchers["complete_command"].strs.pop("%nbray", None)
        shell.drop_by_id(self._names)
        shell.set_custom_exc((), None)
        environment.uninstall(shell)
        holdings.uninstall(shell)
        signatures.uninstall(shell)
        progress.uninstall()
        cells.cells().detach()

    def _names_back(self, _info: object = None) -> None:
        """After `%reset`, which forgets all names, have ours again."""
        if self._names.keys().isdisjoint(self._shell.user_ns):
            self._shell.push(self._names)

    def copies(self) -> dict[str, ObjectRef[Any]]:
        """What `%%remote` has put, by the variable's name."""
        return self._remote.capture.copies()

    def _engine_changed(self, _engine: Engine | None) -> None:
        self._remote.forget()


def copies() -> dict[str, ObjectRef[Any]]:
    """What `%%remote` has put for itself, by the variable's name."""
    return {
        name: ref
        for extension in _extensions().values()
        for name, ref in extension.copies().items()
    }


def logs() -> Logs:
    """What tasks have printed in the notebook that loaded the extension.

    Raises:
        NotebookError: no notebook has.
    """
    if not _extensions():
        raise errors.NotebookError("nbray is not loaded: run %load_ext nbray first")
    return progress.router().logs


def _complete(_shell: Any, event: Any) -> list[str]:
    return cluster_magic.complete(event.line)


def _literal(remote: RemoteCells) -> Callable[[str, str], Any]:
    """The cell magic; IPython must not read the braces of JSON and of sets as variables."""

    @functools.wraps(RemoteCells.magic)
    def magic(line: str, cell: str) -> Any:
        return remote.magic(line, cell)

    no_var_expand(magic)
    return magic


@cache
def _extensions() -> WeakKeyDictionary[Any, Extension]:
    return WeakKeyDictionary()


def load(shell: Any, names: Mapping[str, Any]) -> None:
    """Add nbray to *shell*, with *names* for its notebook; loading again changes nothing."""
    if shell not in _extensions():
        extension = Extension(shell, names)
        extension.install()
        _extensions()[shell] = extension


def unload(shell: Any) -> None:
    """Take back what `load` added."""
    extension = _extensions().pop(shell, None)
    if extension is not None:
        extension.uninstall()
