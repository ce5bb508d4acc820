"""The Stop button in a real kernel: the cell's work ends, whatever the cell makes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from e2e.front import Answer, Front, running

SETUP = """
import asyncio, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import ipywidgets
%load_ext nbray
%nbray start --cpus 2
@remote
def slow():
    time.sleep(60)
@remote
def quick(value=1):
    return value
@remote
def nested(count):
    return nbray.get([slow.remote() for _ in range(count)])
def go():
    print("go"); sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Front]:
    with running(SETUP) as (front, _):
        yield front


def stopped(kernel: Front, code: str) -> Answer:
    """Run a cell, press Stop when it has said 'go' and its tasks may have begun."""
    answer = kernel.start(code)
    kernel.until(lambda _: "go" in answer.streams)
    time.sleep(0.3)
    kernel.manager.interrupt_kernel()
    kernel.finish(answer)
    return answer


def nothing_left(kernel: Front) -> None:
    """No task of any cell runs, and the next one is served."""
    assert kernel.run("nbray.get(quick.remote())").result == "1"
    left = (
        "from nbray import session\n"
        "until = time.monotonic() + 60\n"
        "views = lambda: session.current().insight.snapshot().cells.values()\n"
        "busy = lambda: sum(not one.finished for one in views())\n"
        "while busy() and time.monotonic() < until: time.sleep(0.05)\n"
        "busy()"
    )
    assert kernel.run(left).result == "0"


CAUGHT = {
    "by the cell": (
        "go()\ntry: nbray.get([slow.remote() for _ in range(4)])\n"
        "except KeyboardInterrupt: print('caught')"
    ),
    "by a helper's helper": (
        "def inner():\n"
        "    try: return nbray.get(slow.remote())\n"
        "    except BaseException: return 'caught'\n"
        "def outer(): return [inner()]\n"
        "go()\nprint(outer()[0])"
    ),
    "by an output widget": (
        "go()\nwith ipywidgets.Output(): nbray.get([slow.remote() for _ in range(3)])\n"
        "print('caught')"
    ),
    "in finally": (
        "refs = [slow.remote() for _ in range(4)]\ngo()\n"
        "try:\n"
        "    try: nbray.get(refs)\n"
        "    finally: print(len(nbray.wait(refs, num_returns=4)[1]), 'left')\n"
        "except KeyboardInterrupt: print('caught')"
    ),
    "while it waits for no task": (
        "refs = [slow.remote() for _ in range(4)]\ngo()\n"
        "try: time.sleep(60)\nexcept KeyboardInterrupt: print('caught')"
    ),
}


@pytest.mark.parametrize("how", CAUGHT)
def test_an_interrupt_that_is_caught_ends_the_cells_work(kernel: Front, how: str) -> None:
    answer = stopped(kernel, CAUGHT[how])
    assert "caught" in answer.streams
    nothing_left(kernel)


WAITING = {
    "in a pool with a long queue": (
        "go()\nwith ThreadPoolExecutor(3) as p:\n"
        "    list(p.map(lambda i: nbray.get(slow.remote()), range(30)))"
    ),
    "in threads that try again": (
        "def again():\n"
        "    while True:\n"
        "        try: return nbray.get(slow.remote())\n"
        "        except Exception: pass\n"
        "go()\nthreads = [threading.Thread(target=again) for _ in range(3)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()"
    ),
    "in coroutines behind a semaphore": (
        "turn = asyncio.Semaphore(2)\n"
        "async def one():\n"
        "    async with turn: return await slow.remote()\n"
        "go()\nawait asyncio.wait([asyncio.ensure_future(one()) for _ in range(20)])"
    ),
    "in threads of a coroutine": (
        "go()\nawait asyncio.gather(\n"
        "    *[asyncio.to_thread(lambda: nbray.get(slow.remote())) for _ in range(3)])"
    ),
    "for tasks of a task": "go()\nnbray.get([nested.remote(2), nested.remote(1)])",
    "in a coroutine that blocks": "await asyncio.sleep(0)\ngo()\nnbray.get(slow.remote())",
}


@pytest.mark.parametrize("how", WAITING)
def test_an_interrupt_reaches_whoever_waits_for_the_cell(kernel: Front, how: str) -> None:
    answer = stopped(kernel, WAITING[how])
    assert answer.error in {"KeyboardInterrupt", "CancelledError", "CellStopped"}
    assert "Exception in thread" not in answer.streams
    nothing_left(kernel)


def test_the_cells_own_code_may_clean_up(kernel: Front) -> None:
    answer = stopped(
        kernel,
        "go()\ntry: nbray.get([slow.remote() for _ in range(4)])\n"
        "except KeyboardInterrupt:\n"
        "    print(nbray.get([quick.remote(i) for i in range(5)]))\n"
        "    with ThreadPoolExecutor(2) as p:\n"
        "        print(list(p.map(lambda i: nbray.get(quick.remote(i)), range(3))))",
    )
    assert answer.streams == "go\n[0, 1, 2, 3, 4]\n[0, 1, 2]\n"
    nothing_left(kernel)


def test_other_cells_work_goes_on_and_a_pool_no_longer_waits_for_it(kernel: Front) -> None:
    kernel.run("behind = slow.remote()")
    answer = stopped(
        kernel,
        "go()\nwith ThreadPoolExecutor(1) as p: p.submit(lambda: nbray.get(behind)).result()",
    )
    assert answer.error == "KeyboardInterrupt"
    assert kernel.run("nbray.wait([behind], timeout=0)[1] == [behind]").result == "True"
    kernel.run("nbray.cancel(behind)")
    nothing_left(kernel)


AWAITS = ["await slow.remote()", "await asyncio.gather(slow.remote(), slow.remote())",
          "slow.remote(); await asyncio.sleep(60)"]  # fmt: skip


@pytest.mark.parametrize("code", AWAITS)
def test_a_cell_that_awaits_is_stopped_as_one_that_waits(kernel: Front, code: str) -> None:
    begun = time.monotonic()
    answer = stopped(kernel, f"go()\n{code}")
    assert time.monotonic() < begun + 50  # the loop was woken
    assert answer.traceback.startswith("Stopped: the cell's tasks are cancelled")
    assert len(answer.traceback.splitlines()) <= 2
    nothing_left(kernel)


def test_the_button_pressed_again_shows_nothing_more(kernel: Front) -> None:
    answer = kernel.start("go()\nnbray.get([slow.remote() for _ in range(4)])")
    kernel.until(lambda _: "go" in answer.streams)
    time.sleep(0.3)
    kernel.manager.interrupt_kernel()
    kernel.until(lambda _: answer.error)
    kernel.manager.interrupt_kernel()
    kernel.finish(answer)
    assert answer.traceback.startswith("Stopped")
    assert len(answer.traceback.splitlines()) == 2
    nothing_left(kernel)


def test_a_plain_interrupt_looks_as_ever(kernel: Front) -> None:
    answer = stopped(kernel, "go()\ntime.sleep(60)")
    assert answer.error == "KeyboardInterrupt"
    assert "stop.py" not in answer.traceback
    assert "time.sleep(60)" in answer.traceback
