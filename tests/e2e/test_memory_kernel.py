"""Memory by cell and variable in a real kernel: who holds what, and letting go."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from e2e.front import Front, running

from nbray.jupyter.cells.live import VIEW

SETUP = """
import os, time
import numpy as np
%load_ext nbray
os.environ['IPYTHON'] = '1'
nbray.init(num_cpus=2, object_store_memory=2 << 30)

@remote
def block(i):
    return np.full(10 * 1024 * 1024 // 8, i, float)

def store():
    seen = nbray.api.session.current().insight.snapshot()
    return sum(node.figures.store_used for node in seen.nodes)
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Front]:
    with running(SETUP) as (front, _):
        yield front


def memory(front: Front) -> str:
    """What `%nbray memory` shows, as text."""
    return "\n".join(data["text/plain"] for data in front.run("%nbray memory").displays.values())


def store(front: Front, low: float, high: float) -> float:
    """Megabytes in the store, once they are between *low* and *high*."""
    deadline = time.monotonic() + 60
    while True:
        used = float(front.run("store()").result) / 2**20
        if low <= used <= high or time.monotonic() > deadline:
            return used
        time.sleep(0.2)


def test_100_displayed_references_of_10_mb_pin_nothing_after_free(kernel: Front) -> None:
    for number in range(100):
        shown = kernel.run(f"ref = block.remote({number})\nnbray.wait([ref])\nref")
        assert "stored, 10 MB, on " in shown.result
        assert "made by block in In[" in shown.result
    kernel.run("kept = ref\ndel ref")
    assert store(kernel, 990, 1100) > 990
    listed = memory(kernel)
    assert "is held by history only: %nbray free lets go of it." in listed
    assert "and 97 more" in listed or "and 98 more" in listed
    freed = kernel.run("%nbray free")
    assert "freed: 99 objects that only history held." in freed.text
    assert store(kernel, 5, 15) < 15
    assert kernel.run("float(nbray.get(kept)[0])").result == "99.0"


def test_values_in_out_and_in_variables_are_told(kernel: Front) -> None:
    kernel.run("view = nbray.get(kept)\ndel kept")
    assert "view" in memory(kernel)
    kernel.run("view[:3]")
    kernel.run("del view")
    listed = memory(kernel)
    assert "Out[" in listed
    assert "history only" in listed
    kernel.run("%nbray free")
    assert store(kernel, 0, 1) < 1


def click(front: Front, model: str) -> None:
    """Press the button *model*, as a page does."""
    content = {"comm_id": model, "data": {"method": "custom", "content": {"event": "click"}}}
    front.client.shell_channel.send(front.client.session.msg("comm_msg", content))


def test_the_button_frees_what_the_table_says_and_is_never_saved(kernel: Front) -> None:
    kernel.run("nbray.put(np.zeros(1_000_000))")
    shown = kernel.run("%nbray memory")
    table, strip = shown.displays.values()
    assert "7.6 MB in 1 object is held by history only" in table["text/plain"]
    assert "store 0 of" not in table["text/plain"]  # though no node has told of it yet
    assert VIEW not in table
    model = strip[VIEW]["model_id"]
    click(kernel, model)
    kernel.until(
        lambda message: "7.6 MB freed: 1 object that only history held."
        in message["content"].get("data", {}).get("text/plain", "")
    )
    table, strip = shown.displays.values()
    assert "held by history only" not in table["text/plain"]
    assert "<b>7.6 MB freed" in table["text/html"]
    assert strip == {"text/html": "", "text/plain": ""}
    assert store(kernel, 0, 1) < 1
    kernel.run("nbray.put(np.zeros(1_000_000))")
    shown = kernel.run("%nbray memory")
    assert VIEW in list(shown.displays.values())[1]
    kernel.run("1 + 1")  # the table is the past now
    assert not any(VIEW in data for data in shown.displays.values())
    kernel.run("%nbray free")
    assert len(kernel.run("%nbray memory").displays) == 1  # nothing to free, no button


def test_tasks_and_other_objects_that_hold_are_told(kernel: Front) -> None:
    kernel.run(
        "import threading\n"
        "@remote(num_cpus=0, max_concurrency=2)\n"
        "class Gate:\n"
        "    def __init__(self): self.opened = threading.Event()\n"
        "    def wait(self): self.opened.wait()\n"
        "    def open(self): self.opened.set()\n"
        "gate = Gate.remote()\n"
        "@remote\ndef slow(data):\n    nbray.get(gate.wait.remote())\n"
        "big = block.remote(1)\nnbray.wait([big])\n"
        "waiting = slow.remote(big)\nbox = nbray.put([big])\ndel big\n"
    )
    listed = memory(kernel)
    assert "task slow" in listed
    assert "an object that box holds" in listed
    kernel.run("nbray.get(gate.open.remote())\nnbray.get(waiting)\nnbray.kill(gate)")
    assert "task slow" not in memory(kernel)


def test_remote_cells_copies_and_tracebacks_are_told(kernel: Front) -> None:
    kernel.run("big = np.zeros(2_000_000)\n")
    kernel.run("%%remote\nbig.sum()")
    listed = memory(kernel)
    assert "%%remote's copy of big" in listed
    kernel.run("def failing():\n    inner = block.remote(5)\n    nbray.wait([inner])\n    1 / 0\n")
    assert kernel.run("failing()").error == "ZeroDivisionError"
    listed = memory(kernel)
    assert "the last traceback (inner in failing)" in listed
    assert "freed" in kernel.run("%nbray free").text
    assert "failing" not in memory(kernel)
