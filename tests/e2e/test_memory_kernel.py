"""Memory by cell and variable in a real kernel: who holds what, and letting go."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from e2e.front import Front
from jupyter_client.manager import start_new_kernel

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
    return sum(node.figures.store_used for node in nbray.api.session.current().snapshot().nodes)
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Front]:
    manager, client = start_new_kernel(kernel_name="python3")
    front = Front(manager, client)
    try:
        setup = front.run(SETUP)
        assert not setup.error, setup.traceback
        yield front
        front.run("%nbray stop")
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def store(front: Front, low: float, high: float) -> float:
    """Megabytes in the store, once they are between *low* and *high*."""
    deadline = time.monotonic() + 20
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
    listed = kernel.run("%nbray memory").result
    assert "is held by history only: %nbray free lets go of it." in listed
    assert "and 97 more" in listed or "and 98 more" in listed
    freed = kernel.run("%nbray free")
    assert "freed: 99 objects that only history held." in freed.text
    assert store(kernel, 5, 15) < 15
    assert kernel.run("float(nbray.get(kept)[0])").result == "99.0"


def test_values_in_out_and_in_variables_are_told(kernel: Front) -> None:
    kernel.run("view = nbray.get(kept)\ndel kept")
    assert "view" in kernel.run("%nbray memory").result
    kernel.run("view[:3]")
    kernel.run("del view")
    listed = kernel.run("%nbray memory").result
    assert "Out[" in listed
    assert "history only" in listed
    kernel.run("%nbray free")
    assert store(kernel, 0, 1) < 1


def test_tasks_and_other_objects_that_hold_are_told(kernel: Front) -> None:
    kernel.run(
        "@remote\ndef slow(data):\n    time.sleep(3)\n"
        "big = block.remote(1)\nwaiting = slow.remote(big)\nbox = nbray.put([big])\ndel big\n"
    )
    listed = kernel.run("time.sleep(0.5)\nm = %nbray memory\nm").result
    assert "task slow" in listed
    assert "an object that box holds" in listed
    kernel.run("nbray.get(waiting)")
    assert "task slow" not in kernel.run("m = %nbray memory\nm").result


def test_remote_cells_copies_and_tracebacks_are_told(kernel: Front) -> None:
    kernel.run("big = np.zeros(2_000_000)\n")
    kernel.run("%%remote\nbig.sum()")
    listed = kernel.run("m = %nbray memory\nm").result
    assert "%%remote's copy of big" in listed
    kernel.run("def failing():\n    inner = block.remote(5)\n    nbray.wait([inner])\n    1 / 0\n")
    assert kernel.run("failing()").error == "ZeroDivisionError"
    listed = kernel.run("m = %nbray memory\nm").result
    assert "the last traceback (inner in failing)" in listed
    assert "freed" in kernel.run("%nbray free").text
    assert "failing" not in kernel.run("m = %nbray memory\nm").result
