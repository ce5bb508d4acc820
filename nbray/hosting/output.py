"""What tasks print and show: caught in the worker, for the driver of their job.

Owns the replacement of `sys.stdout` and `sys.stderr` in workers and the
gathering of text, also of what C code and child processes write
(`descriptors`). Does not own how it travels, which each engine says, where it is
shown, nor how values become rich output (`showing`). Rules: text carries the cell
and task that printed it, keeps its order within a worker, and leaves before the
answer of the task that printed it; nothing is dropped, and nothing gathers without
bounds: who prints faster than its driver shows it waits in `print`, as at a pipe.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, BinaryIO, Generic, NamedTuple, TextIO, TypeVar, cast

from nbray.config import PRINTED_AHEAD
from nbray.hosting.descriptors import Descriptors
from nbray.hosting.fitting import fitting
from nbray.text import safe

MOST_TEXT = 256 * 1024
"""Characters in one message."""

Sent = TypeVar("Sent")
"""What an engine sends."""


class Origin(NamedTuple):
    """Who prints: the job's driver, the cell, the task's name."""

    job: int
    cell: str
    task: str


class Shown(NamedTuple):
    """Something rich that was shown; *size* is about how many bytes it has."""

    data: dict[str, Any]
    metadata: dict[str, Any]
    display_id: str
    update: bool
    size: int


class Output(Generic[Sent]):
    """What one worker has printed and shown, not yet sent (see `session.Publisher`).

    Args:
        wrap: (who, 'stdout' or 'stderr', text) or (who, '', `Shown`) as the engine sends it.
        origin: who prints; None if no task runs.
        raw: what C code and child processes write.

    Attributes:
        push: sends what has gathered, in the thread that prints; False if that thread must
            not wait (it drives the sockets).
        gone: whether a driver is dead: nobody waits for it.
    """

    def __init__(
        self,
        wrap: Callable[[Origin, str, str | Shown], Sent],
        origin: Callable[[], Origin | None],
        raw: Descriptors | None = None,
    ) -> None:
        self._wrap = wrap
        self.at_end: Callable[[], None] | None = None
        self.push: Callable[[], bool] = lambda: False
        self.gone: Callable[[int], bool] = lambda _job: False
        self._origin = origin
        self._raw = raw
        self.pieces: deque[tuple[Origin, str, str | Shown]] = deque()
        self._lock = threading.RLock()  # garbage collection may print in the middle
        self._reading = threading.RLock()
        self._ahead: dict[int, int] = {}
        """Characters printed for each driver of which it has not said that they were shown."""
        self._room = threading.Event()

    def stream(self, name: str, fallback: TextIO) -> TextIO:
        """A file object for `sys.stdout` or `sys.stderr`; *fallback* gets what no task printed."""
        return cast("TextIO", _Stream(self, name, fallback))

    # -- printing ------------------------------------------------------------------

    def add(self, name: str, text: str) -> bool:
        """Note text of the running task; False if none runs. Waits for a driver far behind."""
        origin = self._origin()
        if origin is None:
            return False
        if self._raw is not None:
            self.drain(origin)  # what C code wrote before comes before
        if len(text) <= MOST_TEXT:
            self._note(origin, name, text, len(text))
        else:
            for start in range(0, len(text), MOST_TEXT):
                piece = text[start : start + MOST_TEXT]
                self._note(origin, name, piece, len(piece))
        return True

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any], display_id: str, update: bool
    ) -> None:
        """Note rich output of the running task. Waits for a driver far behind."""
        origin = self._origin()
        if origin is None:
            return
        self.drain(origin)
        data, metadata, size = fitting(data, metadata)
        self._note(origin, "", Shown(data, metadata, display_id, update, size), size)

    def drain(self, origin: Origin | None = None) -> None:
        """Note all that was written to the descriptors, as *origin*'s (None: who runs now).

        Waits for a driver far behind; meanwhile the rest stays in the files.
        """
        raw = self._raw
        if raw is None or not raw.grown():
            return
        origin = origin or self._origin()
        while origin is not None and raw.grown():
            if self._ahead.get(origin.job, 0) > PRINTED_AHEAD:
                self._wait(origin.job)
            if not self._read(raw, origin):
                break

    def _read(self, raw: Descriptors, origin: Origin) -> bool:
        """Note one portion of what was written to the descriptors; False if there was none."""
        with self._reading:  # two threads that read must not change the order
            found = raw.read(MOST_TEXT)
            with self._lock:
                size = sum(len(text) for _, text in found)
                self._ahead[origin.job] = self._ahead.get(origin.job, 0) + size
            self.pieces.extend((origin, name, text) for name, text in found)
        return bool(found)

    def _note(self, origin: Origin, name: str, piece: str | Shown, size: int) -> None:
        job = origin.job
        if self._ahead.get(job, 0) > PRINTED_AHEAD:
            self._wait(job)
        with self._lock:
            self._ahead[job] = self._ahead.get(job, 0) + size
        self.pieces.append((origin, name, piece))

    def _wait(self, job: int) -> None:
        """Until the driver has shown what it has, or nobody waits for it any more."""
        while self._ahead[job] > PRINTED_AHEAD and self.push():
            self._room.clear()
            if self.gone(job):
                with self._lock:
                    self._ahead[job] = 0
            elif self._ahead[job] > PRINTED_AHEAD:
                self._room.wait(0.1)

    def shown(self, job: int, size: int) -> None:
        """A driver has shown so many characters. Any thread."""
        with self._lock:
            self._ahead[job] = max(0, self._ahead.get(job, 0) - size)
        self._room.set()

    # -- sending -------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether Python's own streams have something to send (a look at no descriptor)."""
        return bool(self.pieces)

    def pending(self) -> bool:
        """Whether there is something to send."""
        return bool(self.pieces) or self.behind()

    def behind(self) -> bool:
        """Whether something was written to the descriptors that has not been taken."""
        return self._raw is not None and self._raw.grown()

    def take(self, now: float = 0.0) -> list[Sent]:
        """Everything so far, as the engine sends it; adjacent pieces of text are joined.

        Of what was written to the descriptors a part, if the driver is far behind. Never waits.
        """
        self._take_raw()
        return self.noted()

    def noted(self) -> list[Sent]:
        """The same without a look at the descriptors: what has been noted so far."""
        found: list[Sent] = []
        pieces = self.pieces
        texts: list[str] = []
        last: tuple[Origin, str] | None = None
        size = 0
        for _ in range(len(pieces)):
            try:
                origin, name, piece = pieces.popleft()
            except IndexError:  # another thread has taken them meanwhile
                break
            length = len(piece) if isinstance(piece, str) else 0
            if (origin, name) != last or size + length > MOST_TEXT:
                if last is not None and texts:
                    found.append(self._message(last, texts))
                last, texts, size = (origin, name), [], 0
            if isinstance(piece, Shown):
                found.append(self._wrap(origin, name, piece))
                continue
            texts.append(piece)
            size += length
        if last is not None and texts:
            found.append(self._message(last, texts))
        return found

    def _take_raw(self) -> None:
        """Some of what was written to the descriptors, without waiting for anybody."""
        raw = self._raw
        if raw is None:
            return
        with self._reading:  # another thread may have read what it has yet to note
            if not raw.grown():
                return
        origin = self._origin()
        if origin is None:
            return
        while raw.grown() and self._ahead.get(origin.job, 0) <= PRINTED_AHEAD:
            if not self._read(raw, origin):
                break

    def _message(self, key: tuple[Origin, str], texts: list[str]) -> Sent:
        origin, name = key
        noted = "".join(texts)
        text = safe(noted)
        if len(text) != len(noted):  # the driver counts what it gets
            with self._lock:
                ahead = self._ahead.get(origin.job, 0) + len(text) - len(noted)
                self._ahead[origin.job] = max(0, ahead)
        return self._wrap(origin, name, text)


class _Stream(io.TextIOBase):
    """Writes go to the running task's output."""

    def __init__(self, output: Output[Any], name: str, fallback: TextIO) -> None:
        super().__init__()
        self._output = output
        self._name = name
        self._fallback = fallback

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def name(self) -> str:
        return f"<{self._name}>"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    @property
    def buffer(self) -> BinaryIO:
        """For bytes: what is written there is read on from the descriptor."""
        if self._fallback.closed or self._fallback.buffer.closed:  # with a wrapper around it
            self._fallback = raw_stream(1 if self._name == "stdout" else 2)
        return self._fallback.buffer

    @property
    def line_buffering(self) -> bool:
        return True

    def reconfigure(self, **_: Any) -> None:
        """Accept what `io.TextIOWrapper` does; what is written here is never encoded."""

    def close(self) -> None:
        """Stay open: the next task of this worker prints here, too."""
        self.flush()

    def detach(self) -> BinaryIO:
        """The stream of bytes; this one stays open."""
        return self.buffer

    def fileno(self) -> int:
        return self.buffer.fileno()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text and not self._output.add(self._name, text):
            with contextlib.suppress(ValueError):  # closed, and nobody's
                self._fallback.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(ValueError):  # somebody has closed it
            self._fallback.flush()


def raw_stream(descriptor: int) -> TextIO:
    """A text stream whose every write, also to its `buffer`, goes to the descriptor at once."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        cast("BinaryIO", raw), encoding="utf-8", errors="backslashreplace", write_through=True
    )


def plain_streams() -> None:
    """In a process forked from a worker: print to the descriptors, which the worker reads."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = open(  # noqa: SIM115 - it is the process's own
            number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
        )
        setattr(sys, name, stream)
