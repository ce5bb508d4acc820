"""Why am I waiting? Said under the bars, in a real kernel on a real cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.front import Front, idle, parent, running

SETUP = """
import os, signal, threading, time
%load_ext nbray
%nbray start --cpus 2

@remote(num_cpus=2)
class Holder:
    def ready(self):
        return True

@remote
def tiny():
    return 1

@remote
class Counter:
    def __init__(self, path):
        first = not os.path.exists(path)
        open(path, "w").close()
        while not first and not os.path.exists(path + ".go"): time.sleep(0.05)
    def pid(self):
        return os.getpid()
"""


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(SETUP) as (made, _):
        yield made


def said(front: Front, code: str, condition: Callable[[str], bool], go: Path) -> str:
    """Run a cell; the first HTML of its bars that fulfils *condition*. Then *go* lets it end."""
    found: list[str] = []
    ended: list[bool] = []
    answer = front.start(code)

    def look(message: dict) -> bool:  # type: ignore[type-arg]
        data = message["content"].get("data", {})
        if isinstance(data, dict):
            shown = (data.get("state", {}).get("value", ""), data.get("text/html", ""))
            bodies = [str(text).partition("</style>")[2] for text in shown]
            found.extend(text for text in bodies if condition(text))
        if idle(message) and parent(message) == answer.cell:
            ended.append(True)
        return bool(found or ended)

    front.until(look)
    go.touch()
    if not ended:
        front.finish(answer)
    assert not answer.error, answer.traceback
    return found[0] if found else ""


@pytest.mark.slow
def test_what_has_no_room_says_what_it_needs_and_what_is_free(
    front: Front, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    html = said(
        front,
        # An actor, for two tasks asked for at once may be served in either order.
        "holder = Holder.remote(); nbray.get(holder.ready.remote())\n"
        "def leave():\n"
        f"    while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
        "    nbray.kill(holder)\n"
        "threading.Thread(target=leave).start()\n"
        "_ = nbray.get([tiny.remote() for _ in range(3)])",
        lambda text: "waiting:" in text,
        go,
    )
    assert "<em>3 waiting:</em> need 1 CPU; " in html
    assert "has 0 of 2 CPUs free" in html


def test_what_no_node_can_ever_do_says_so_at_once(front: Front) -> None:
    answer = front.run("nbray.get(tiny.options(num_cpus=2, num_gpus=1).remote())")
    assert answer.error == "TaskUnschedulableError"
    assert "needs 2 CPUs, 1 GPU, but no node has that much" in answer.traceback


@pytest.mark.slow
def test_calls_wait_for_the_restart_of_their_actor(front: Front, tmp_path: Path) -> None:
    html = said(
        front,
        f"c = Counter.options(max_restarts=1, max_task_retries=1).remote({str(tmp_path / 'x')!r})\n"
        "pid = nbray.get(c.pid.remote())\n"
        "os.kill(pid, signal.SIGKILL)\n"
        "time.sleep(0.3)\n"
        "_ = nbray.get([c.pid.remote() for _ in range(2)])",
        lambda text: "restarting" in text,
        tmp_path / "x.go",
    )
    assert "<em>2 waiting:</em> Counter is restarting; " in html
    assert "SIGKILL" in html
