"""Pools, joblib and executors in a notebook: bars, receipts, Stop and errors as of other work."""

from __future__ import annotations

import re
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
        "with Pool(2) as pool:\n    list(pool.imap_unordered(slow_square, range(16)))",
        ("with joblib.parallel_config(backend='ray', n_jobs=2):\n"
        "    joblib.Parallel(batch_size=2)(joblib.delayed(slow_square)(i) for i in range(16))"),
        ("with Executor(2) as executor:\n"
        "    list(executor.map(slow_square, range(16), chunksize=2))"),
    ],
)
def test_bars_and_receipt(kernel, code):
    answer = kernel.run(code)
    assert not answer.error, answer.traceback
    assert "16 of 16" in texts(answer)  # items, however many travel together
    assert "Receipt: 16 tasks on 1 node" in texts(answer)


@pytest.mark.parametrize("wait", ["wait(made)", "list(as_completed(made))"])
def test_waits_of_the_standard_library_show_bars(kernel, wait):
    answer = kernel.run(
        "from concurrent.futures import as_completed, wait\n"
        "with Executor(2) as executor:\n"
        "    made = [executor.submit(slow_square, i) for i in range(13)]\n"
        f"    _ = {wait}"
    )
    assert not answer.error, answer.traceback
    assert "13 of 13" in texts(answer)
    assert "Receipt: 13 tasks on 1 node" in texts(answer)


def test_a_search_of_scikit_learns(kernel):
    answer = kernel.run(
        "from sklearn.datasets import load_iris\n"
        "from sklearn.model_selection import GridSearchCV\n"
        "from sklearn.svm import SVC\n"
        "with joblib.parallel_config(backend='ray', n_jobs=2):\n"
        "    search = GridSearchCV(SVC(), {'C': [0.1, 1], 'gamma': [0.01, 0.1]}, cv=3)\n"
        "    search.fit(*load_iris(return_X_y=True))\n"
        "float(round(search.best_score_, 2)), search.best_params_"
    )
    assert answer.result == "(0.97, {'C': 1, 'gamma': 0.1})"


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
    assert answer.traceback.startswith("ZeroDivisionError in picky on ")
    assert "File " not in answer.traceback  # no frame of a library


def test_a_pool_can_be_used_after_stop(kernel):
    kernel.run(
        "def stubborn(x):\n"
        "    while True:\n"
        "        try: time.sleep(600)\n"
        "        except BaseException: pass\n"
        "pool = Pool(2)"
    )
    for work in ("slow_square, range(1000), chunksize=100", "stubborn, range(8), chunksize=2"):
        answer = kernel.start(f"print('submitted'); pool.map({work})")
        kernel.until(lambda message, answer=answer: "submitted" in answer.streams)
        time.sleep(0.5)
        kernel.manager.interrupt_kernel()
        kernel.finish(answer)
        assert answer.error == "KeyboardInterrupt"
    assert kernel.run("pool.map(slow_square, range(3))").result == "[0, 1, 4]"
    kernel.run("pool.terminate()")


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


@pytest.mark.parametrize(
    "code",
    ["with Executor(2) as executor: list(executor.map(slow_square, range(60)))",
     "with Pool(2) as pool: pool.map(slow_square, range(60), chunksize=5)",
     "with Pool(2) as pool: pool.map(slow_square, range(60), chunksize=1)"],
)  # fmt: skip
def test_what_stop_leaves_undone_is_cancelled_and_nothing_has_failed(kernel, code):
    answer = kernel.start(code)
    kernel.until(lambda _: "of 60" in texts(answer))
    kernel.manager.interrupt_kernel()
    kernel.finish(answer)
    kernel.run("time.sleep(0.5)")
    told = texts(answer)
    assert "failed" not in told
    done, cancelled = (int(re.search(pattern, told)[1])
                       for pattern in (r"(\d+) of 60", r"(\d+) cancelled"))  # fmt: skip
    assert done + cancelled == 60
