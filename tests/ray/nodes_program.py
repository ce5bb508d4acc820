"""What a notebook does on a Ray cluster of two machines, and what it takes: run on one of them.

    python nodes_program.py HOST:PORT NODE TOKEN

attaches as a notebook does, gives work to the node whose address is NODE, and prints what it saw as
one line of JSON, with seconds.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from typing import Any, Self

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import nbray
from nbray import session
from nbray.events import Display, Output
from nbray.exceptions import TaskCancelledError

ROUNDS = 5
PRINTS = 100


def sleep() -> None:
    print("begun")
    time.sleep(600)


def loop() -> None:
    print("begun")
    while True:
        pass


def multiply() -> None:
    import numpy as np

    print("begun")
    some = np.ones((500, 500))
    while True:
        some = some @ some % 7


class Sleeper:
    def __init__(self) -> None:
        self.calls = 0

    def sleep(self) -> None:
        self.calls += 1
        print("begun")
        time.sleep(600)

    def called(self) -> int:
        return self.calls


def say(count: int) -> None:
    for _ in range(count):
        print(f"said {time.time()}")
        time.sleep(0.03)


def where() -> str:
    time.sleep(0.3)
    return nbray.get_runtime_context().get_node_id()


class Cell:
    """One cell of the notebook."""

    def __init__(self, engine: Any, name: str) -> None:
        self.engine = engine
        self.name = name
        self.text = ""
        self.late: list[float] = []
        """Seconds from each stamp that was printed until it came."""

    def __enter__(self) -> Self:
        self._token = session.cell.set(self.name)
        self.engine.cells.on_output(self.take)
        return self

    def __exit__(self, *_: object) -> None:
        session.cell.reset(self._token)

    def take(self, event: Output | Display) -> None:
        if event.cell != self.name or not isinstance(event, Output):
            return
        now = time.time()
        self.text += event.text
        pairs = itertools.pairwise(event.text.split())
        self.late += [now - float(stamp) for word, stamp in pairs if word == "said"]

    def until(self, condition: Any) -> Any:
        """The first true value of *condition*."""
        deadline = time.monotonic() + 60
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: {self.text!r}")
            time.sleep(0.002)
        return found

    def stop(self, ref: Any) -> float:
        """Seconds from Stop until *ref* has ended as cancelled."""
        self.until(lambda: "begun" in self.text)
        began = time.monotonic()
        self.engine.cells.cancel(self.name, force=False)
        try:
            nbray.get(ref, timeout=60)
        except TaskCancelledError:
            return time.monotonic() - began
        raise AssertionError("it was not cancelled")


def main(address: str, node_ip: str, token: str) -> None:
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.run_cell("%load_ext nbray")
    done = shell.run_cell(f"%nbray attach --engine ray {address} --secret {token}")
    done.raise_error()
    engine = session.require()
    node = next(one for one in nbray.nodes() if one["NodeManagerAddress"] == node_ip)["NodeID"]
    there = {"num_cpus": 0, "label_selector": {"ray.io/node-id": node}}
    seen: dict[str, Any] = {"nodes": len(nbray.nodes()), "stop": {}}

    for kind in (sleep, loop, multiply):
        seen["stop"][kind.__name__] = took = []
        for turn in range(ROUNDS):
            with Cell(engine, f"{kind.__name__} {turn}") as cell:
                took.append(cell.stop(nbray.remote(kind).options(**there).remote()))
    actor = nbray.remote(Sleeper).options(**there).remote()
    seen["stop"]["method"] = took = []
    for turn in range(ROUNDS):
        with Cell(engine, f"method {turn}") as cell:
            took.append(cell.stop(actor.sleep.remote()))
    seen["calls"] = nbray.get(actor.called.remote(), timeout=60)

    with Cell(engine, "prints") as cell:
        nbray.get(nbray.remote(say).options(**there).remote(PRINTS))
        cell.until(lambda: len(cell.late) == PRINTS)
        late = sorted(cell.late)
        seen["prints"] = {"median": statistics.median(late), "p90": late[int(0.9 * PRINTS)]}

    with Cell(engine, "bars") as cell:
        spread = nbray.remote(where).options(num_cpus=1)
        ran = set(nbray.get([spread.remote() for _ in range(16)], timeout=60))
        view = cell.until(lambda: (v := engine.cells.view("bars")) and v.finished and v)
        seen["ran"] = len(ran)
        seen["bars"] = {one.number: one.done for one in view.nodes}
        seen["figures"] = cell.until(
            lambda: all(one.figures.memory_total for one in engine.insight.snapshot().nodes)
        )
    nbray.shutdown()
    print(json.dumps(seen), flush=True)


main(*sys.argv[1:])
