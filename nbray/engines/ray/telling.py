"""What a worker of Ray's tells of its calls, and what they print and show: into mailboxes.

Owns the batches of this process and the one thread that posts them, every 50 ms, or at once after a
pause. Does not own the catching of what is printed (`hosting.output`), nor the mailbox. Rule: what
costs a call more than two appends happens in the thread.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from weakref import WeakSet

import ray

from nbray import session
from nbray.engines.ray import told
from nbray.engines.ray.bracket import around, running, spoiled, yielding
from nbray.engines.ray.errors import Cancelled, Retry
from nbray.engines.ray.heads import Head
from nbray.engines.ray.interrupting import interrupts
from nbray.engines.ray.mailbox import find_mailbox
from nbray.engines.ray.references import Held
from nbray.engines.ray.worker import cancelled
from nbray.hosting.output import Origin, Output, Shown
from nbray.patches import threads

BATCH = 0.05
"""Seconds between two batches of one process."""
UNTAKEN = 8
"""Batches on their way to mailboxes before the next waits."""


class Outbox:
    """Of one worker process."""

    def __init__(self) -> None:
        self._events: deque[tuple[str, told.Told]] = deque()
        self._yielded: deque[tuple[str, str]] = deque()
        """(mailbox, cell) for each value that a call has yielded."""
        self._wake = threading.Event()
        self._sent = 0.0
        self._boxes: dict[str, Any] = {}
        self._posted: deque[tuple[Any, int, int]] = deque()
        """(Ray's reference of the post, for whom, characters of text)."""
        self._sending = threading.Lock()
        self._thread: threading.Thread | None = None
        self._over = False
        self._about: tuple[str, str] = ("", "")
        self.children: dict[int, WeakSet[Held]] = {}
        """What running calls have submitted, by their numbers."""
        self.active: dict[int, Head] = {}
        """The calls that run, by number: threads of the last one print."""
        self.output = _Printed(self)

    def begin(self) -> None:
        """In the first call of this process."""
        context = ray.get_runtime_context()
        self._about = (context.get_node_id(), ray.util.get_node_ip_address())
        sys.stdout = self.output.stream("stdout", sys.stdout)
        sys.stderr = self.output.stream("stderr", sys.stderr)
        session.publish_to(self.output)
        from nbray.hosting import showing

        showing.install()
        threads.follow()
        self._thread = threading.Thread(target=self._run, name="nbray-telling", daemon=True)
        self._thread.start()

    @property
    def begun(self) -> bool:
        """Whether it tells anything."""
        return self._thread is not None

    def tell(self, box: str, event: told.Told) -> None:
        """Post *event* to *box* soon."""
        self._events.append((box, event))
        if not self._wake.is_set():
            self._wake.set()

    def yielded(self, head: Head) -> None:
        """A running call has yielded a value."""
        if head.box and head.counted:
            self._yielded.append((head.box, head.cell))
            self.wake()

    def launched(self, head: Head, held: Held | None) -> None:
        """The running call has submitted that of *head*, on the same behalf."""
        if head.box and head.counted:
            self.tell(head.box, told.Launched(head.cell, head.number))
        parent = running.get()
        if parent is not None and held is not None:
            self.children.setdefault(parent.number, WeakSet()).add(held)

    def wake(self) -> None:
        """There is something to tell."""
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(None if not self._posted else BATCH)
            pause = self._sent + BATCH - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            self._wake.clear()
            try:
                with self._sending:
                    if self._over:
                        return
                    self._send(0.0)
            except Exception as error:  # noqa: BLE001 - a thread's edge: the worker must go on
                if not ray.is_initialized():
                    return
                _say(f"nbray: what a task printed could not be told: {error!r}\n")

    def send(self, wait: float = 0.0) -> None:
        """Post what there is; with *wait* for so many seconds until mailboxes have it."""
        with self._sending:
            self._send(wait)

    def close(self) -> None:
        """This process ends: post what there is. Who asks Ray anything later ends it at once."""
        if not self.begun:
            return
        with self._sending:
            self._over = True
            with contextlib.suppress(ray.exceptions.RayError):
                self._send(1.0)
        self._wake.set()

    def _send(self, wait: float) -> None:
        self._accept(wait)
        by_box: dict[str, list[told.Told]] = {}
        sizes: dict[str, int] = {}
        given = Counter(self._yielded.popleft() for _ in range(len(self._yielded)))
        for (box, cell), count in given.items():
            by_box.setdefault(box, []).append(told.Yielded(cell, count))
        for _ in range(len(self._events)):
            box, event = self._events.popleft()
            if type(event) is not told.Ended:
                by_box.setdefault(box, []).append(event)
                continue
            self._noted(by_box, sizes)  # what it printed comes before its end
            by_box.setdefault(box, []).append(event)
        self._noted(by_box, sizes)
        for box, events in by_box.items():
            self._post(box, events, sizes.get(box, 0))
        if by_box:
            self._sent = time.monotonic()
        if wait:
            self._accept(wait, all_of_them=True)

    def _noted(self, by_box: dict[str, list[told.Told]], sizes: dict[str, int]) -> None:
        """Add what was printed and shown, and its size, to what goes to each mailbox."""
        for box, said, size in self.output.noted():
            by_box.setdefault(box, []).append(said)
            sizes[box] = sizes.get(box, 0) + size

    def _post(self, box: str, events: list[told.Told], size: int) -> None:
        handle = self._mailbox(box)
        if handle is None:
            self.output.shown(_number(box), size)
            return
        node, ip = self._about
        data = told.encode(told.Batch(node, ip, os.getpid(), events))
        self._posted.append((handle.post.remote(data), _number(box), size))

    def _mailbox(self, box: str) -> Any:
        if not box:
            return None
        if box not in self._boxes:
            self._boxes[box] = find_mailbox(box)
        return self._boxes[box]

    def _accept(self, wait: float, all_of_them: bool = False) -> None:
        """Note which batches mailboxes have; waits while too many are on their way."""
        while self._posted:
            full = all_of_them or len(self._posted) > UNTAKEN
            ready, _ = ray.wait([self._posted[0][0]], timeout=(wait or 0.1) if full else 0)
            if not ready:
                if full and not all_of_them:
                    continue
                return
            post, job, size = self._posted.popleft()
            self.output.shown(job, size)
            try:
                ray.get(post)
            except ray.exceptions.RayActorError:  # whoever read it has ended
                for box in [one for one in self._boxes if _number(one) == job]:
                    self._boxes[box] = None
                self.output.shown(job, sys.maxsize)
            except ray.exceptions.RayError:
                pass


class _Printed(Output[tuple[str, told.Told, int]]):
    """What this process has printed and shown, by mailbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        super().__init__(_message, self._whose)
        self.push = self._push

    def _push(self) -> bool:
        self._outbox.wake()
        return threading.current_thread() is not self._outbox._thread

    def _whose(self) -> Origin | None:
        head = running.get()
        if head is None and threading.current_thread() is not threading.main_thread():
            head = next(reversed(self._outbox.active.values()), None)
        if head is None or not head.box:
            return None
        return Origin(_number(head.box), head.cell, head.name)

    def add(self, name: str, text: str) -> bool:
        noted = super().add(name, text)
        if noted:
            self._outbox.wake()
        return noted

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any], display_id: str, update: bool
    ) -> None:
        super().publish(data, metadata, display_id, update)
        self._outbox.wake()


def cancel(children: Iterable[Held]) -> None:
    """Have Ray cancel what an interrupted call had submitted."""
    for held in list(children):
        with contextlib.suppress(ValueError, TypeError, ray.exceptions.RayError):
            ray.cancel(held.ray, recursive=True)


def _message(origin: Origin, stream: str, what: str | Shown) -> tuple[str, told.Told, int]:
    box = f"{origin.job:016x}"
    if isinstance(what, str):
        return box, told.Said(origin.cell, origin.task, stream, what), len(what)
    shown = told.Showed(
        origin.cell, origin.task, what.data, what.metadata, what.display_id, what.update
    )
    return box, shown, what.size


def _number(box: str) -> int:
    return int(box or "0", 16)


def _say(text: str) -> None:
    if sys.__stderr__ is not None:
        sys.__stderr__.write(text)


outbox = Outbox()


class Telling:
    """What stands around one call."""

    __slots__ = ("_began", "_cpu", "_head", "_main")

    def __init__(self, head: Head) -> None:
        self._head = head

    def __enter__(self) -> None:
        head = self._head
        if not outbox.begun:
            outbox.begin()
        main = interrupts.install() and threading.current_thread() is threading.main_thread()
        self._main = main
        outbox.active[head.number] = head
        if head.box:
            outbox.tell(
                head.box,
                told.Began(
                    head.number, head.cell, head.name, head.counted, main, bool(head.method)
                ),
            )
        self._cpu, self._began = time.process_time(), time.perf_counter()
        if main:
            interrupts.enter(head.number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        head = self._head
        interrupted = interrupts.leave(head.number) if self._main else False
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._cpu
        outbox.active.pop(head.number, None)
        children = outbox.children.pop(head.number, None)
        if interrupted and children:  # the frames that hold them are on their way out
            cancel(children)
        at_end = outbox.output.at_end
        if at_end is not None:
            with contextlib.suppress(Exception):  # a figure that cannot be drawn
                at_end()
        unmade = head.number in spoiled
        spoiled.discard(head.number)
        how = (
            told.FAILED if unmade
            else told.DONE if kind is None or kind is GeneratorExit
            else told.CANCELLED if interrupted or issubclass(kind, (KeyboardInterrupt, Cancelled))
            else told.AGAIN if kind is Retry
            else told.FAILED
        )  # fmt: skip
        if head.box:
            micros, spent = int(seconds * 1e6), int(cpu * 1e6) if self._main else 0
            why = "" if how == told.DONE else " ".join(str(error).split())[:200]
            outbox.tell(
                head.box, told.Ended(head.number, head.cell, how, micros, spent, head.counted, why)
            )
        if kind is not None and issubclass(kind, SystemExit):
            outbox.send(wait=1.0)
        if interrupted and kind is not None and issubclass(kind, KeyboardInterrupt):
            raise cancelled(error, head) from None


def install() -> None:
    """Tell of every call of this process from now on. Idempotent."""
    if Telling not in around:
        around.append(Telling)
        yielding.append(outbox.yielded)
