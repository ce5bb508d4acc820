"""python tune_program.py ADDRESS FOLDER STEPS SECONDS [stop]: a search, and what its cell shows.

Prints a line for each change of the rows: seconds, and (name, done, running, failed, cancelled);
then 'interrupted SECONDS' if Stop was pressed and heard, and 'settled COUNTS'.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from ray import tune

import nbray
from nbray import session

address, folder, steps, seconds, *stop = sys.argv[1:]
nbray.init(address, engine="ray", log_to_driver=False)
session.cell.set("the cell")
cells: Any = session.require().cells
began = time.monotonic()
pressed = [0.0]


def train(config: dict[str, float]) -> None:
    for step in range(int(steps)):
        time.sleep(float(seconds))
        tune.report({"score": config["x"] * step})


def rows() -> list[tuple[str, int, int, int, int]]:
    view = cells.view("the cell")
    return [
        (one.name, one.done, one.running, one.failed, one.cancelled)
        for one in (view.rows if view is not None else ())
    ]


def follow() -> None:
    last: list[Any] = []
    while True:
        now = rows()
        if now != last:
            print(json.dumps([round(time.monotonic() - began, 2), now]), flush=True)
        last = now
        if stop and not pressed[0] and any(row[2] for row in now):
            pressed[0] = time.monotonic()
            cells.cancel("the cell", force=False)
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)


threading.Thread(target=follow, name="nbray-test", daemon=True).start()
try:
    tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"x": tune.grid_search([1, 2, 3])},
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    ).fit()
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - pressed[0], flush=True)
while not cells.view("the cell").finished:
    time.sleep(0.02)
view = cells.view("the cell")
print("ended", time.monotonic() - pressed[0] if pressed[0] else 0.0, flush=True)
print("settled", json.dumps([view.submitted, view.done, view.failed, view.cancelled]), flush=True)
nbray.shutdown()
