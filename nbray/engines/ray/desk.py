"""Where a driver reads its mailbox: counts into the ledger, texts to whoever shows them.

Owns the mailbox, the wardens, and the thread that reads and asks Ray about calls of which nobody
tells. So has an actor that hears what its own tasks print. Rule: the thread alone waits for Ray;
others take the ledger's lock for moments.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
import ray

from nbray.engines.ray import told
from nbray.engines.ray.boxes import Unmade
from nbray.engines.ray.cluster import RayCluster
from nbray.engines.ray.errors import Failed, translated
from nbray.engines.ray.ledger import CellCall, Ledger
from nbray.engines.ray.mailbox import open_mailbox
from nbray.engines.ray.warden import Wardens
from nbray.events import CellView, Display, Figures, Output
from nbray.exceptions import TaskCancelledError
from nbray.hosting.printing import print_event
from nbray.wire.failures import unpack_error

LONG, SHORT = 0.5, 0.05
"""Seconds for which the thread waits for the mailbox, and while something is being stopped."""
LATE = 2.0
"""Seconds for which what Ray says has ended is expected to be told of by its process."""
ASKED = 500
"""References that Ray is asked about at once."""
STOPPING = 3.0
"""Seconds after a Stop within which what of the cell begins to run is interrupted as well."""
WATCHED = 5.0
"""Seconds after the last look of a screen for which wardens are asked for figures."""
FIGURES = 1.0
"""Seconds between two questions for figures."""
ENDING = 1.0
"""Longest wait for what tasks have printed, when the driver ends."""


class Desk:
    """Of one process; *begin* opens its mailbox."""

    def __init__(self, cluster: RayCluster) -> None:
        self.box = secrets.token_hex(8)
        self.sink: Callable[[Output | Display], None] | None = None
        self.ledger = Ledger()
        self.lock = threading.RLock()
        self.wardens = Wardens()
        self._cluster = cluster
        self._mailbox: Any = None
        self._thread: threading.Thread | None = None
        self._over = False
        self._stopped: dict[str, tuple[float, set[int]]] = {}
        """Cells that are being stopped: until when, and which calls were told."""
        self._asked: dict[str, dict[int, Any]] = {}
        """What a Stop has asked to end, with what holds its reference, until it has."""
        self._watched = self._looked = 0.0
        self.guarded = False
        """There are wardens: somebody may press Stop."""

    def begin(self) -> None:
        """Open the mailbox, and read it from now on."""
        if self._thread is None:
            self._mailbox = open_mailbox(self.box, ray.get_runtime_context().get_node_id())
            self._thread = threading.Thread(target=self._run, name="nbray-desk", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Read what has come, and read no more."""
        thread, self._over = self._thread, True
        if thread is not None and thread is not threading.current_thread():
            thread.join(ENDING)

    def guard(self) -> None:
        """Have wardens on all nodes, before anybody presses Stop."""
        self.guarded = True

    def watched(self) -> None:
        """A screen looks."""
        self._watched = time.monotonic()

    # -- the thread

    def _run(self) -> None:
        pending: Any = None
        ticked = 0.0
        try:
            while not self._over:
                wait = SHORT if self._stopped else LONG
                try:
                    if pending is None:
                        pending = self._mailbox.take.remote(30.0)
                    batches = ray.get(pending, timeout=wait)
                    pending = None
                    for batch in batches:
                        self._read(told.decode(batch))
                except ray.exceptions.GetTimeoutError:
                    pass
                except ray.exceptions.RayError:  # its node has gone: Ray starts it elsewhere
                    pending = None
                    if not ray.is_initialized():
                        return
                    time.sleep(wait)
                now = time.monotonic()
                if now - ticked >= wait:
                    ticked = now
                    self._tick(now)
            if pending is not None and ray.is_initialized():
                with contextlib.suppress(ray.exceptions.RayError):
                    for batch in ray.get(pending, timeout=0.1):
                        self._read(told.decode(batch))
        except Exception:  # noqa: BLE001 - a thread's edge: reported, the work goes on
            if not self._over and ray.is_initialized():
                traceback.print_exc(file=sys.__stderr__)

    def _read(self, batch: told.Batch) -> None:
        now = time.monotonic()
        for event in batch.told:
            if isinstance(event, told.Said | told.Showed):
                self.show(event, batch)
                continue
            with self.lock:
                if isinstance(event, told.Began):
                    call = self.ledger.began(event, batch.node, batch.pid, now)
                    if call is not None and event.cell in self._stopped:
                        self._late(call, now)
                elif isinstance(event, told.Ended):
                    self.ledger.ended(event, batch.node, batch.pid, now)
                elif isinstance(event, told.Yielded):
                    self.ledger.work(event.cell, now).yielded += event.count
                else:
                    self.ledger.submitted(event.cell, event.call, "", True, now, nested=True)

    def show(self, event: told.Said | told.Showed, batch: told.Batch) -> None:
        """Hand what was printed or shown to whoever shows it."""
        node = self._cluster.number(batch.node)
        about = (event.cell, node, self._cluster.name(batch.node), batch.pid, event.task)
        shown: Output | Display = (
            Output(*about, event.stream, event.text) if isinstance(event, told.Said)
            else Display(*about, event.data, event.metadata, event.display_id, event.update)
        )  # fmt: skip
        self.give(shown)

    def give(self, event: Output | Display) -> None:
        """To the sink, or to this process's own streams; what fails is reported."""
        try:
            (self.sink or print_event)(event)
        except Exception:  # noqa: BLE001 - a thread's edge: reported; what follows is shown
            traceback.print_exc(file=sys.__stderr__)

    def _tick(self, now: float) -> None:
        if self._over:  # Ray, asked after its end, would join another cluster
            return
        self._sweep(now)
        for cell in [one for one, (until, _) in self._stopped.items() if now > until]:
            del self._stopped[cell]
        if not self.guarded:
            return
        if now - self._looked >= FIGURES:
            self._looked = now
            nodes = self._cluster.recent()
            self.wardens.ensure(nodes)
            with self.lock:
                self.ledger.lost_nodes({one["NodeID"] for one in nodes if one["Alive"]}, now)
                pids = {node: list(some) for node, some in self.ledger.processes().items()}
            if pids or now - self._watched < WATCHED:
                gone = self.wardens.look(pids)
                with self.lock:
                    for place in gone:
                        self.ledger.gone(*place, now)

    def _sweep(self, now: float) -> None:
        """Ask Ray about calls of which nobody tells."""
        with self.lock:
            unsure = self.ledger.unsure(now, ASKED, self._stopped)
            lost = [call for call, held in unsure if held is None]
            for call in lost:
                self.ledger.settled(call.number, told.FAILED, "its process has ended", now)
        asked = {held.ray: (call, held) for call, held in unsure if held is not None}
        if not asked:
            return
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0, fetch_local=False)
        for one in ready:
            call, _held = asked[one]
            if call.ended:
                continue
            call.ready = call.ready or now
            if now - call.ready < (SHORT if call.cell in self._stopped else LATE):
                continue  # its end may be on its way: what a process tells says more
            how, why = outcome(one)
            with self.lock:
                if not call.ended:
                    self.ledger.settled(call.number, how, why, now)

    # -- stopping

    def cancel(self, cell: str, force: bool) -> int:
        """See `nbray.engine.Cells.cancel`."""
        now = time.monotonic()
        if not self.guarded:
            self.guard()
            self.wardens.ensure(self._cluster.recent())
        with self.lock:
            calls = self.ledger.calls(cell)
            meant = self._asked.pop(cell, None)
            if force and meant is not None:  # what was launched since then was not meant
                calls = [call for call in calls if call.number in meant]
            have = {call.number: held for call in calls if (held := call.held()) is not None}
            if not force:
                self._asked[cell] = dict(have)
                for call in calls:
                    self._asked[cell].setdefault(call.number, None)
            self._stopped[cell] = (now + STOPPING, set())
            for call in calls:
                if call.began and call.main:
                    self._late(call, now)
                    if not force:  # Ray's own interrupt may come late, and hit what is next there
                        have.pop(call.number, None)
        for held in have.values():
            with contextlib.suppress(ValueError, TypeError, ray.exceptions.RayError):
                ray.cancel(held.ray, force=force, recursive=True)
        return sum(1 for call in calls if call.counted) or len(calls)

    def _late(self, call: CellCall, now: float) -> None:
        """Interrupt a running call of a cell that is being stopped."""
        until, told_of = self._stopped[call.cell]
        if now > until or call.number in told_of or call.number not in self._asked.get(
            call.cell, {call.number: None}
        ):
            return
        told_of.add(call.number)
        self.wardens.stop(call.node, call.pid, call.number)

    def interrupt(self, held: Any, methods: bool) -> bool:
        """Interrupt the call that makes what *held* holds; False: it is left to Ray.

        With *methods* also an actor's.
        """
        with self.lock:
            for call in self.ledger.all_calls():
                if call.held() is held:
                    break
            else:
                return False
        if not (call.began and call.main and (methods or not call.method)):
            return False
        return self.wardens.stop(call.node, call.pid, call.number)

    # -- looking

    def views(self) -> dict[str, CellView]:
        """What screens show of all cells."""
        with self.lock:
            return self.ledger.views(time.monotonic(), *self._names)

    def view(self, cell: str) -> CellView | None:
        """And of one."""
        with self.lock:
            return self.ledger.view(cell, time.monotonic(), *self._names)

    def figures(self) -> dict[str, Figures]:
        """What is known of machines, by node; of work only this driver's own is known."""
        with self.lock:
            done, failed, running = self.ledger.by_node()
        return {
            node: msgspec.structs.replace(
                seen, running=running.get(node, 0), finished=done.get(node, 0),
                failed=failed.get(node, 0),
            )
            for node, seen in self.wardens.figures.items()
        }  # fmt: skip

    @property
    def _names(self) -> Any:
        return self._cluster.number, self._cluster.name, self._cluster.cpus


def outcome(theirs: Any) -> tuple[int, str]:
    """(how a call ended whose reference is ready, its error in one line)."""
    try:
        value = ray.get(theirs, timeout=0)
    except ray.exceptions.GetTimeoutError:  # it lies elsewhere: errors do not
        return told.DONE, ""
    except (ray.exceptions.RayError, Failed) as error:
        end = translated(error)
    except Exception:  # noqa: BLE001 - users' classes raise what they like when rebuilt
        return told.DONE, ""
    else:
        if type(value) is not Unmade:
            return told.DONE, ""
        end = unpack_error(value.data)
    how = told.CANCELLED if isinstance(end, TaskCancelledError) else told.FAILED
    return how, " ".join(str(end).split())[:200]
