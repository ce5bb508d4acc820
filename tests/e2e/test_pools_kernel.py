"""Pools, joblib and executors in a notebook: bars, receipts, Stop and errors as of other work."""

from __future__ import annotations

import time

import pytest
from e2e.front import running

SETUP = """
%load_ext nbray
%nbray start --cpus 2
import time
import joblib
import nbray as ray
from nbray.util import Executor
from nbray.util.joblib import register_ray
from nbray.util.multiprocessing import Pool
register_ray()
def slow_square(x):
    time.sleep(0.2)
    return x * x
def picky(x):
    return 1 / x
"""


@pytest.fixture(scope="module")
def kernel():
    with running(SETUP) as (front, _):
        yield front


def texts(answer):
    return "\n".join(data.get("text/plain", "") for data in answer.displays.values())


@pytest.mark.parametrize(
    "code",
    [
        "with Pool(2) as pool:\n    pool.map(slow_square, range(16), chunksize=2)",
        ("with joblib.parallel_config(backend='ray', n_jobs=2):\n"
        "    joblib.Parallel(batch_size=2)(joblib.delayed(slow_square)(i) for i in range(16))"),
        ("with Executor(2) as executor:\n"
        "    list(executor.map(slow_square, range(16), chunksize=2))"),
    ],
)
def test_bars_and_receipt(kernel, code):
    answer = kernel.run(code)
    assert not answer.error, answer.traceback
    assert "8 of 8" in texts(answer)
    assert "Receipt: 8 tasks on 1 node" in texts(answer)


def test_work_has_the_functions_name(kernel):
    kernel.run("with Pool(1) as pool: pool.apply(slow_square, (2,))")
    answer = kernel.run(
        "import nbray.util.state\n"
        "sorted({task.name for task in ray.util.state.list_tasks(limit=100)})"
    )
    assert "slow_square" in answer.result
    assert "run_batch" not in answer.result
    assert "ping" not in answer.result


@pytest.mark.parametrize(
    "code",
    ["with Pool(1) as pool: pool.map(picky, [1, 0])",
     "with Executor(1) as executor: executor.submit(picky, 0).result()"],
)  # fmt: skip
def test_an_error_is_shown_as_a_tasks(kernel, code):
    answer = kernel.run(code)
    assert answer.error == "ZeroDivisionError"
    assert "return 1 / x" in answer.traceback
    assert "where x = 0" in answer.traceback
    assert "File " not in answer.traceback  # no frame of a library


def test_stop(kernel):
    answer = kernel.start(
        "executor = Executor(2)\n"
        "futures = [executor.submit(slow_square, i) for i in range(1000)]\n"
        "print('submitted')\n"
        "futures[-1].result()"
    )
    kernel.until(lambda message: "submitted" in answer.streams)
    time.sleep(0.5)
    kernel.manager.interrupt_kernel()
    kernel.finish(answer)
    assert answer.error == "KeyboardInterrupt"
    answer = kernel.run("time.sleep(0.5); len([one for one in futures if not one.done()])")
    assert answer.result == "0"
    assert kernel.run("executor.submit(slow_square, 3).result()").result == "9"
