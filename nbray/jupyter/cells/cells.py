"""Which cell launched what, and how late output still lands under that cell.

Owns the identity of the running cell (`nbray.session.cell`), the message each
cell came with, and the sending of output on its behalf from any thread.
Does not own what is shown: progress, panel and magics decide that.

Rule: output never relies on "the current cell". It names its cell, and the
message is sent with that cell's own request as its explicit parent, because
ipykernel 6.29 (one global parent) and 7 (a context variable with a fallback)
route the output of threads differently.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple

from nbray import session
from nbray.jupyter.cells.front_ends import draws_updates
from nbray.jupyter.cells.output_holders import OutputHolders, captured
from nbray.jupyter.cells.titles import title
from nbray.patches import threads

REMEMBERED = 300
"""How many past cells can still be written to."""
_OWN = ("msg_id", "date")
"""What differs between the headers of one front end's requests."""

Mime = Mapping[str, Any]


class Cells:
    """The cells of one IPython shell (those of a notebook: `Notebook.cells`).

    Attributes:
        on_end: called with a cell's id after the cell has run, on the thread that ran it.
        at_end: likewise, after those: what is shown below everything else.
        aside: entered around what is printed on a terminal; gives whether something had
            to be taken off the screen for it.
        held: who holds the running cell's output.
    """

    def __init__(self) -> None:
        self.on_end: list[Callable[[str], None]] = []
        self.at_end: list[Callable[[str], None]] = []
        self.aside: Callable[[], AbstractContextManager[bool]] = lambda: nullcontext(False)
        self.held = OutputHolders(self)
        self._updates: bool | None = None
        self._shell: Any = None
        self._lock = threading.Lock()
        self._parents: dict[str, _Request] = {}
        self._labels: dict[str, str] = {}
        self._running: list[str] = []
        self._quiet: set[str] = set()
        """Cells under which nothing is to stand (`%%capture`)."""
        self._clears: dict[str, int] = {}
        """How often cells have cleared their output away (`clear_output`)."""
        self._begun: dict[int, str] = {}
        """Cells that run, by the identity of IPython's record of the run."""
        self._outer: ContextVar[tuple[str, ...]] = ContextVar("nbray_outer_cells", default=())

    @property
    def shell(self) -> Any:
        """The IPython shell attached to, or None."""
        return self._shell

    @property
    def kernel(self) -> Any:
        """The ipykernel kernel behind the shell, or None in a terminal."""
        kernel = getattr(self._shell, "kernel", None)
        return kernel if hasattr(kernel, "iopub_socket") else None

    def attach(self, shell: Any) -> None:
        """Follow the cells of *shell*. Idempotent; a second shell replaces the first."""
        if shell is self._shell:
            return
        self.detach()
        self._shell = shell
        threads.follow(pools=True)
        shell.events.register("pre_run_cell", self._before)
        shell.events.register("post_run_cell", self._after)
        publisher: Any = getattr(shell, "display_pub", None)
        if hasattr(publisher, "register_hook"):  # a kernel's
            publisher.register_hook(self._published)
        kernel = self.kernel
        if kernel is not None and _runs_a_cell(kernel.get_parent("shell")):
            self._before()  # the cell that loads the extension counts as well

    def detach(self) -> None:
        """Stop following; remembered cells are forgotten."""
        shell, self._shell = self._shell, None
        if shell is not None:
            threads.leave()
            publisher: Any = getattr(shell, "display_pub", None)
            if hasattr(publisher, "unregister_hook"):
                publisher.unregister_hook(self._published)
            for event, hook in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
                if hook in shell.events.callbacks.get(event, ()):
                    shell.events.unregister(event, hook)
        with self._lock:
            self._parents.clear()
            self._labels.clear()
            self._running.clear()
            self._quiet.clear()
            self._clears.clear()

    def _published(self, message: dict[str, Any]) -> dict[str, Any]:
        """A hook of ipykernel's for what the shell publishes; it goes on as it is."""
        if message.get("msg_type") == "clear_output":
            cell = str((message.get("parent_header") or {}).get("msg_id", ""))
            if not self.held.box(cell):
                with self._lock:
                    _remember(self._clears, cell, self._clears.get(cell, 0) + 1)
        return message

    def clears(self, cell: str) -> int:
        """How often *cell* has cleared away what stood under it: updates of that go nowhere."""
        return self._clears.get(cell, 0)

    def _before(self, info: object = None) -> None:
        kernel = self.kernel
        parent: dict[str, Any] = kernel.get_parent("shell") if kernel is not None else {}
        header = parent.get("header") or {}
        cell = str(header.get("msg_id") or f"In[{self._shell.execution_count}]")
        content = parent.get("content") or {}  # of the cell that loads the extension
        source = str(content.get("code", "") if info is None else getattr(info, "raw_cell", ""))
        label = f"[{_number(self._shell)}] {title(source)}".strip()
        with self._lock:
            _remember(session.cell_labels, cell, label[:80])
            _remember(self._labels, cell, f"In[{_number(self._shell)}]")
            # Without the source, which comes along: of many cells it would be megabytes.
            last = next(reversed(self._parents.values()), None)
            _remember(self._parents, cell, _request(header, last))
            self._running.append(cell)
            self._quiet &= self._parents.keys()
            if captured(source.splitlines()):
                self._quiet.add(cell)
            if info is not None:
                self._begun[id(info)] = cell
            del self._running[:-REMEMBERED]
        self._outer.set((*self._outer.get(), session.cell.get()))
        session.cell.set(cell)

    def _after(self, result: object = None) -> None:
        cell = session.cell.get()
        begun = self._begun.pop(id(getattr(result, "info", None)), cell)
        if begun == cell:
            # A cell run from inside a cell gives the name back to the outer one.
            *outer, last = self._outer.get() or ("",)
            self._outer.set(tuple(outer))
            session.cell.set(last)
        else:  # one that awaits ran in a context of its own, and ends in ours
            cell = begun
        for hook in [*self.on_end, *self.at_end]:
            hook(cell)
        with self._lock:
            if cell in self._running:
                self._running.remove(cell)

    @property
    def updates(self) -> bool:
        """Whether the front end draws updates of what was displayed."""
        if self._updates is None:
            self._updates = draws_updates()
        return self._updates

    def running(self) -> str:
        """The innermost cell that runs ('' if none does)."""
        with self._lock:
            return self._running[-1] if self._running else ""

    def quiet(self, cell: str) -> bool:
        """Whether *cell* keeps all its output to itself, so that nothing is to stand under it."""
        return cell in self._quiet

    def adopt(self, message: str) -> str:
        """Let *message*, no cell's but a widget's, be written to as a cell; its name as a cell."""
        with self._lock:
            if message not in self._parents:
                last = next(reversed(self._parents.values()), None)
                header = (last.message().get("header") if last is not None else None) or {}
                _remember(self._parents, message, _request({**header, "msg_id": message}, last))
        return message

    def parent(self, cell: str) -> dict[str, Any]:
        """The request message *cell* came with; the latest one where it is unknown."""
        with self._lock:
            found = self._parents.get(cell)
        if found is not None:
            return found.message()
        kernel = self.kernel
        return (kernel.get_parent("shell") if kernel is not None else {}) or {}

    def label(self, cell: str) -> str:
        """'In[3]', as the notebook shows *cell* ('' where it is unknown)."""
        with self._lock:
            return self._labels.get(cell, "")

    def labelled(self, label: str) -> str:
        """The last cell that was called *label* ('In[3]' or '3'); '' if none was."""
        wanted = f"In[{label}]" if label.isdigit() else label
        with self._lock:
            return next((cell for cell in reversed(self._labels)
                         if self._labels[cell] == wanted), "")  # fmt: skip

    def carrier(self, cell: str) -> str:
        """The cell whose message carries an update of what *cell* shows.

        Displays are found by their id, whatever the parent; but headless clients
        read only what comes with the running cell's parent.
        """
        with self._lock:
            return cell if cell in self._running or not self._running else self._running[-1]

    def publish(self, cell: str, kind: str, content: Mime, metadata: Mime | None = None) -> bool:
        """Send one output message as if *cell* had sent it. Any thread; never blocks.

        *kind* and *content* are the Jupyter protocol's ('stream', 'display_data',
        'update_display_data', 'clear_output', ...) and must hold JSON's types only.

        Returns:
            False where there is no kernel to send through; nothing was sent.
        """
        kernel = self.kernel
        if kernel is None:
            return False
        send_output(kernel, self.parent(cell), kind, content, metadata)
        return True

    def stream(self, cell: str, text: str, name: str = "stdout") -> None:
        """Print *text* under *cell*; outside a kernel on this process's own *name*."""
        if not self.publish(cell, "stream", {"name": name, "text": text}):
            with self.aside() as covered:
                out = sys.stderr if name == "stderr" else sys.stdout
                # What is drawn next must start on a line of its own.
                out.write(text if text.endswith("\n") or not covered else f"{text}\n")
                out.flush()

    def display(self, cell: str, data: Mime, *, display_id: str = "", update: bool = False) -> None:
        """Show a MIME bundle under *cell*, or *update* the one shown as *display_id*.

        Outside a kernel the bundle's text/plain is printed, updates excepted.
        """
        content = {
            "data": data,
            "metadata": {},
            "transient": {"display_id": display_id} if display_id else {},
        }
        kind = "update_display_data" if update else "display_data"
        if update:
            cell = self.carrier(cell)
        elif (keeps := self.held.publisher(cell)) is not None:
            keeps.publish(data, {}, transient=content["transient"])
            return
        if not self.publish(cell, kind, content) and not update and "text/plain" in data:
            sys.stdout.write(f"{data['text/plain']}\n")


def send_output(
    kernel: Any, parent: Mime, kind: str, content: Mime, metadata: Mime | None = None
) -> None:
    """Send an IOPub message of *kind* whose parent is the request message *parent*.

    The kernel's `iopub_socket` hands the frames to its IO thread, so any thread
    may call this, and it returns before anything is written.
    """
    topic = f"stream.{content['name']}" if kind == "stream" else "display_data"
    kernel.session.send(
        kernel.iopub_socket,
        kind,
        dict(content),
        parent=dict(parent),
        ident=topic.encode(),
        metadata=dict(metadata or {}),
    )


class _Request(NamedTuple):
    """The header of a cell's request, in little room; empty outside a kernel."""

    common: dict[str, Any]
    """What is the same in most headers, held once."""
    own: tuple[Any, ...]
    """The values of `_OWN`, as far as there are any."""

    def message(self) -> dict[str, Any]:
        """The message, without its content."""
        header = self.common | {key: v for key, v in zip(_OWN, self.own, strict=True) if v}
        return {"header": header} if header else {}


def _request(header: Mime, last: _Request | None) -> _Request:
    """*header* in little room: with what it has in common with the *last* one."""
    common = {key: value for key, value in header.items() if key not in _OWN}
    if last is not None and last.common == common:
        common = last.common
    return _Request(common, tuple(header.get(key) for key in _OWN))


def _remember(where: dict[str, Any], cell: str, what: object) -> None:
    """Note *what* of *cell* as the newest; the oldest go."""
    where.pop(cell, None)
    where[cell] = what
    while len(where) > REMEMBERED:
        del where[next(iter(where))]


def _number(shell: Any) -> int:
    """What stands in the running cell's brackets; `execution_count` may be the next one's."""
    return int(getattr(getattr(shell, "displayhook", shell), "prompt_count", shell.execution_count))


def _runs_a_cell(parent: Mime) -> bool:
    return (parent.get("header") or {}).get("msg_type") == "execute_request"
