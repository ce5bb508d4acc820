"""What the executor knows of where its main thread is."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from nbray.hosting.imports import importing
from nbray.hosting.output import Origin, Output
from nbray.runtime.shell.worker.executor import Executor


def test_within_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "looks_around.py").write_text(
        "import sys\n"
        "from nbray.hosting.imports import importing\n"
        "def deeper():\n    return importing(sys._getframe())\n"
        "seen = deeper()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import looks_around  # type: ignore[import-not-found]

    assert looks_around.seen
    assert not looks_around.deeper(), "afterwards it is a function like any other"
    del sys.modules["looks_around"]


def test_elsewhere() -> None:
    assert not importing(sys._getframe())


def test_what_is_printed_leaves_before_its_answer_whichever_thread_prints() -> None:
    """A hundred thousand lines: the last were printed, and answered, while the others were taken.

    Seen as 287 lines that came under a cell when its call had returned.
    """
    origin = Origin(1, "cell", "flood")
    output: Output[object] = Output(lambda _origin, _stream, what: what, lambda: origin)
    stream = output.stream("stdout", sys.stdout)

    class Brain:
        def flush(self) -> list[object]:
            stream.write("the last line\n")  # by another thread, which answers then
            return ["the answer"]

    executor = Executor.__new__(Executor)
    executor.output, executor.brain = output, Brain()  # type: ignore[assignment]
    assert executor.gathered() == ["the last line\n", "the answer"]


def test_what_another_thread_is_reading_is_waited_for() -> None:
    """A threaded actor's `os.write`: its text came when the call had returned, twice in 150."""
    origin = Origin(1, "cell", "A.raw")

    class Raw:
        def __init__(self) -> None:
            self.text, self.reading, self.go = "raw\n", threading.Event(), threading.Event()

        def grown(self) -> bool:
            return bool(self.text)

        def read(self, _most: int) -> list[tuple[str, str]]:
            text, self.text = self.text, ""
            self.reading.set()
            self.go.wait(10)
            return [("stdout", text)]

    raw = Raw()
    output: Output[object] = Output(
        lambda _origin, _stream, what: what, lambda: origin, raw,  # type: ignore[arg-type]
    )
    other = threading.Thread(target=output.drain, args=(origin,))
    other.start()
    raw.reading.wait(10)
    taken: list[object] = []
    taker = threading.Thread(target=lambda: taken.extend(output.take()))
    taker.start()
    taker.join(0.05)
    raw.go.set()
    taker.join(10)
    other.join(10)
    assert taken == ["raw\n"]
