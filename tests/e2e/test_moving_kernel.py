"""What is on its way from another node is said under the cell that waits for it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Self

import psutil
import pytest
from e2e.cli import NBRAY, environment, worker_line
from e2e.front import Answer, Front, idle, parent, running
from harness import eventually

from nbray.engines import native

SETUP = """
%load_ext nbray
%nbray start --cpus 2
import numpy as np

@remote(resources={"far": 1})
def far(seed):
    return np.full(8_000_000, seed, float)

@remote
def total(values):
    return float(values.sum())
"""
TRIES = 8
"""A machine that stands still for too long counts as dead, so it stands still only briefly, and
on a busy machine nothing may be drawn meanwhile."""
STILL = 5.0
"""Seconds that it stands still at most."""


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(SETUP) as (made, _):
        line = made.run("nbray.api.session.current().cluster.join_line()").result.strip("'")
        extra = ["--num-cpus=1", '--resources={"far": 1}', "--object-store-memory=300000000"]
        done = subprocess.run(
            [*NBRAY, *worker_line(line), *extra],
            env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert eventually(lambda: made.run("len(nbray.nodes())").result == "2")
        made.run("nbray.get(far.remote(0))[0]")  # the first takes long: its cell would have bars
        yield made


class Frozen:
    """The other machine, standing still: none of its processes runs."""

    def __init__(self) -> None:
        (record,) = [record for record in native.records() if not record.head]
        root = psutil.Process(record.root_pid)
        self._all = [root, *root.children(recursive=True)]
        self._timer = threading.Timer(STILL, self.thaw)

    def __enter__(self) -> Self:
        for process in self._all:
            process.send_signal(signal.SIGSTOP)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.thaw()

    def thaw(self) -> None:
        for process in self._all:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


def said(front: Front, code: str) -> tuple[str, Answer]:
    """Run a cell while the other machine stands still; the bars that say what moves, and the end.

    The bars are '' if none did before the machine went on.
    """
    found: list[str] = []
    with Frozen():
        answer = front.start(code)

        def look(message: dict) -> bool:  # type: ignore[type-arg]
            data = message["content"].get("data", {})
            if isinstance(data, dict):
                shown = (data.get("state", {}).get("value", ""), data.get("text/html", ""))
                bodies = [str(text).partition("</style>")[2] for text in shown]
                found.extend(text for text in bodies if "moving:" in text)
            return bool(found) or (idle(message) and parent(message) == answer.cell)

        front.until(look)
        ended = not found
    if not ended:
        front.finish(answer)
    assert not answer.error, answer.traceback
    return (found[0] if found else ""), answer


@pytest.mark.slow
def test_a_task_whose_argument_is_on_its_way_says_what_moves(front: Front) -> None:
    for number in range(TRIES):
        front.run(f"ref = far.remote({number})\nnbray.wait([ref], fetch_local=False)")
        html, answer = said(front, "nbray.get(total.options(node=1).remote(ref))")
        assert answer.result == str(8e6 * number)
        if html:
            break
    assert "<b>0 of 1</b>" in html
    # Both nodes have this machine's name, so their numbers follow.
    assert "<em>61 MB moving:</em> from " in html
    assert " · 2 to " in html
    assert " · 1<" in html


@pytest.mark.slow
def test_a_get_of_what_another_cell_made_says_what_moves(front: Front) -> None:
    for number in range(TRIES):
        front.run(f"ref = far.remote({number})\nnbray.wait([ref], fetch_local=False)")
        html, answer = said(front, "float(nbray.get(ref)[-1])")
        assert answer.result == str(float(number))
        if html:
            break
    assert "<em>61 MB moving:</em> from " in html
    assert 'role="progressbar"' not in html, "nothing is left to do, only to arrive"
    kept = [data["text/html"] for data in answer.displays.values()]
    assert not any("moving:" in text for text in kept), "it has arrived"
