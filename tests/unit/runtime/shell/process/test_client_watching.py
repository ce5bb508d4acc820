"""What a client says of its node and of itself."""

from __future__ import annotations

import subprocess
import sys

from nbray.runtime.shell.process.client_watching import LOOK, Beside


def test_the_end_of_the_node_beside_is_told_once() -> None:
    told: list[str] = []
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    beside = Beside(process.pid, told.append)
    beside.look(1.0)
    process.communicate()
    beside.look(1.0 + LOOK / 2)
    assert told == [], "it is not looked for at every turn"
    beside.look(1.0 + LOOK)
    beside.look(9.0)
    assert told == [f"its node on this machine (pid {process.pid}) has died"]
