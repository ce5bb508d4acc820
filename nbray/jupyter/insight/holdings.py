"""`%nbray memory` and `%nbray free`; how a displayed reference looks.

Owns the joining of the engine's objects with what holds them in the notebook.
Does not own the search (`pins`), the look (`nbray.view.holdings`) nor the
button's life (`free_button`). Rule: a displayed reference shows its state and
never fetches its value.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from nbray import session
from nbray.details import OBJECTS, HoldingRecord, ObjectRecord
from nbray.engine import Engine
from nbray.exceptions import RayError
from nbray.figures import memory as as_memory
from nbray.figures import memory_share, noun
from nbray.ids import ObjectKey as Key
from nbray.jupyter.cells.audience import audience
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.failures.errors import NotebookError
from nbray.jupyter.insight.free_button import free_button
from nbray.jupyter.insight.pins import HISTORY, TRACEBACK, Pin, forget_history, pins
from nbray.jupyter.notebook import Notebook
from nbray.refs import ObjectRef
from nbray.view.holdings import (
    Held,
    holdings_html,
    holdings_text,
    one_line,
    reference_html,
    state,
    unnamed,
)

ASKED_SECONDS = 1.0
"""Seconds that nodes have to say what they have on disk."""


class Holdings:
    """Every object of a notebook and what holds it, at one moment; *look* takes another.

    Shown in a notebook it has a button that frees what only history holds.
    """

    def __init__(
        self, notebook: Notebook, objects: list[Held], store: str,
        look: Callable[[], Holdings] | None = None,
    ) -> None:  # fmt: skip
        self._notebook = notebook
        self.objects = objects
        self.store = store
        self._look = look

    @property
    def bytes(self) -> int:
        """Of all objects."""
        return sum(one.object.size for one in self.objects)

    @property
    def spare(self) -> list[Held]:
        """What nothing but history holds."""
        return [one for one in self.objects if one.only_history]

    def __repr__(self) -> str:
        return holdings_text(self.objects, self.store)

    def _repr_html_(self) -> str:
        return holdings_html(self.objects, self.store)

    def _ipython_display_(self, **_: Any) -> None:
        own, cell, name = self._notebook.cells, session.cell.get(), uuid.uuid4().hex
        if own.kernel is None:
            sys.stdout.write(f"{self!r}\n")
            return
        self._show(own, cell, name)
        if self.spare and self._look is not None and audience(own.kernel).controls:
            size = as_memory(sum(one.object.size for one in self.spare))
            button = self._notebook.part(free_button)
            button.show(own, cell, f"Free {size}", lambda: self._free(own, cell, name))

    def _show(self, own: Cells, cell: str, name: str, said: str = "") -> None:
        data = {
            "text/html": holdings_html(self.objects, self.store, said),
            "text/plain": holdings_text(self.objects, self.store, said),
        }
        own.display(cell, data, display_id=name, update=bool(said))

    def _free(self, own: Cells, cell: str, name: str) -> None:
        """The button was pressed: let go, and show what is left in the same place."""
        now = self
        try:
            said = let_go(own.shell)
            now = self._look() if self._look is not None else self
        except (NotebookError, RayError, OSError) as error:  # the cluster has ended meanwhile
            said = str(error)
        now._show(own, cell, name, said)


def _engine(command: str) -> Engine:
    engine = session.current()
    if engine is None:
        raise NotebookError(f"%nbray {command}: nbray is not running")
    if engine.capabilities.records:
        raise NotebookError(f"%nbray {command}: {engine.capabilities.records}")
    return engine


def _nodes(engine: Engine) -> dict[int, str]:
    return {
        int(node.get("NodeNumber", 1)): str(node["NodeManagerHostname"])
        for node in engine.cluster.nodes()
    }


def _made(one: ObjectRecord, label: Callable[[str], str]) -> str:
    cell, maker = label(one.cell), one.maker
    if not maker:
        if not one.site:
            return ""
        maker = unnamed(one)
    place = ", ".join(part for part in (cell, one.site) if part and part != maker)
    return f"{maker} in {place}" if place else maker


def _held(
    one: HoldingRecord, names: dict[int, str], found: dict[Key, list[Pin]],
    parents: dict[Key, list[Key]], label: Callable[[str], str],
) -> Held:  # fmt: skip
    key = one.object.key
    mine = found.get(key, [])
    holders = list(dict.fromkeys(pin.base for pin in mine))
    holders += [f"task {name}" for name in one.tasks]
    inside = parents.get(key, [])
    for parent in inside:
        bases = [pin.base for pin in found.get(parent, [])]
        holders.append(f"an object that {bases[0]} holds" if bases else "another object")
    if one.object.borrowers:
        holders.append(noun(one.object.borrowers, "other process", "other processes"))
    others = one.tasks or inside or one.object.borrowers
    history = bool(mine) and not others and all(p.kind in {HISTORY, TRACEBACK} for p in mine)
    where = tuple(names.get(node, f"node {node}") for node in one.object.nodes)
    made = _made(one.object, label)
    return Held(one.object, tuple(dict.fromkeys(holders)), history, where, made, bool(one.views))


def memory(notebook: Notebook) -> Holdings:
    """`%nbray memory`: what holds which object."""
    engine = _engine("memory")
    records = _on_disk(engine, engine.insight.holdings())
    found = pins(notebook.cells.shell.user_ns, records, notebook.copies())
    parents: dict[Key, list[Key]] = {}
    for one in records:
        for key in one.inside:
            parents.setdefault(key, []).append(one.object.key)
    names = _nodes(engine)
    held = [_held(one, names, found, parents, notebook.cells.label) for one in records]
    return Holdings(notebook, held, _store(engine, held), lambda: memory(notebook))


def _on_disk(engine: Engine, records: list[HoldingRecord]) -> list[HoldingRecord]:
    """The same, with what nodes know: which of them lie on disk. They are asked if any do."""
    nodes = engine.insight.snapshot().nodes
    if nodes and not any(node.figures.disk_used for node in nodes):
        return records
    told = {one.key: one for one in engine.insight.complete(OBJECTS, ASKED_SECONDS).objects}
    return [
        replace(one, object=replace(one.object, disk=told[one.object.key].disk))
        if one.object.key in told else one
        for one in records
    ]  # fmt: skip


def _store(engine: Engine, held: list[Held]) -> str:
    figures = [node.figures for node in engine.insight.snapshot().nodes if node.alive]
    total = sum(one.store_total for one in figures)
    here = sum(one.object.size for one in held if state(one.object) in {"stored", "on disk"})
    told = sum(one.store_used for one in figures)
    disk = sum(one.disk_used for one in figures)
    if here > total > 0 or disk:  # it does not fit: what is not in memory is on disk
        return f"store {memory_share(told, total)}, {as_memory(max(here - told, disk))} on disk"
    used = max(here, told)  # nodes tell once a second
    return f"store {memory_share(used, total)}" if total else ""


def free(notebook: Notebook) -> None:
    """`%nbray free`: let go of what only IPython's history holds."""
    print(let_go(notebook.cells.shell))


def let_go(shell: Any) -> str:
    """What `free` and the button do; one sentence about it.

    Raises:
        NotebookError: nbray is not running.
    """
    engine = _engine("free")
    before = engine.insight.holdings()
    entries = forget_history(shell, before)
    left = {one.object.key for one in engine.insight.holdings()}
    gone = [one for one in before if one.object.key not in left]
    size = sum(one.object.size for one in gone)
    if not entries:
        return "Nothing is held by history only."
    return f"{as_memory(size)} freed: {noun(len(gone), 'object')} that only history held."


# -- displayed references ----------------------------------------------------------------


FRESH = 0.2
"""Seconds for which one look serves all references that are shown (a list of a thousand)."""


class References:
    """How displayed references of one notebook look: by what was held at the last look."""

    def __init__(self, notebook: Notebook) -> None:
        self.at = -FRESH
        self._cells = notebook.cells
        self._records: dict[Key, HoldingRecord] = {}
        self._names: dict[int, str] = {}

    def _again(self, engine: Engine) -> None:
        """Ask, if that is too long ago."""
        if time.monotonic() - self.at < FRESH:
            return
        held = _on_disk(engine, engine.insight.holdings())
        self._records = {one.object.key: one for one in held}
        self._names = _nodes(engine)
        self.at = time.monotonic()

    def _look(self, ref: ObjectRef[Any]) -> Held | None:
        engine = session.current()
        if engine is None:
            return None
        key = ref.key
        try:
            self._again(engine)
            if key not in self._records:
                self.at = -FRESH
                self._again(engine)
        except (RayError, OSError):  # the engine is going down under us
            return None
        one = self._records.get(key)
        return _held(one, self._names, {}, {}, self._cells.label) if one is not None else None

    def html(self, ref: ObjectRef[Any]) -> str | None:
        """The HTML of a reference; None where nothing is known of it."""
        held = self._look(ref)
        return reference_html(held) if held is not None else None

    def text(self, ref: ObjectRef[Any], printer: Any, _cycle: bool) -> None:
        """The text of a reference (for IPython's pretty printer)."""
        held = self._look(ref)
        printer.text(f"ObjectRef({one_line(held)})" if held is not None else repr(ref))


def install(notebook: Notebook, shell: Any) -> None:
    """Have *shell* show references by their state, and take the button away in time."""
    shell.events.register("pre_run_cell", notebook.part(free_button).end)
    formatters = shell.display_formatter.formatters
    formatters["text/html"].for_type(ObjectRef, notebook.part(References).html)
    formatters["text/plain"].for_type(ObjectRef, notebook.part(References).text)


def uninstall(notebook: Notebook, shell: Any) -> None:
    """Take that back."""
    button = notebook.part(free_button)
    button.end()
    shell.events.unregister("pre_run_cell", button.end)
    for mime in ("text/html", "text/plain"):
        shell.display_formatter.formatters[mime].pop(ObjectRef, None)
