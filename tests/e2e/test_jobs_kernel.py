"""Named background jobs: they go on when their kernel is killed, and come back in another one."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from e2e.front import Front
from harness import MARK, Traces, assert_nothing_left, eventually, marked
from jupyter_client.manager import start_new_kernel

from nbray.config import Owner
from nbray.engines import native
from nbray.runtime.shell.launch.rundir import process_started

LOAD = "import os, time\n%load_ext nbray\n"


@contextmanager
def kernel() -> Iterator[Front]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield Front(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def kill(front: Front) -> None:
    """SIGKILL, and see it gone."""
    pid = int(front.run("os.getpid()").result)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: process_started(pid) is None)


@pytest.fixture(autouse=True)
def _each_leaves_nothing(mark: str) -> Iterator[None]:
    before = Traces.now(mark)
    yield
    for record in native.records():
        native.stop_session(record, 30.0)
    assert_nothing_left(before, mark)


def test_the_kernel_is_killed_and_another_one_fetches_the_result(mark: str) -> None:
    with kernel() as first:
        assert not first.run(LOAD + "%nbray start --cpus 2").error
        started = first.run(
            "scale = 3\n"
            "ready = '/tmp/nbray-job-' + os.environ['" + MARK + "']\n"
        )
        assert not started.error
        launched = first.run(
            "%%remote --bg --name train --each i in range(6) -o squares\n"
            "print('epoch', i)\n"
            "while i == 5 and not os.path.exists(ready): time.sleep(0.05)\n"
            "squares = i * i\n"
            "squares * scale"
        )
        assert not launched.error, launched.traceback
        assert launched.streams.count("This cluster stays") == 1
        assert launched.shown.startswith("<job train")
        while "epoch 4" not in launched.printed:  # also under the launching cell
            first.until(lambda _message: True)
        kill(first)
    assert native.records()
    assert native.records()[0].owner is Owner.DETACHED
    with kernel() as second:
        attached = second.run(LOAD + "%nbray attach")
        assert "nbray is attached to the cluster on this machine: 1 node" in attached.streams
        listed = second.run("%nbray jobs")
        assert "train  running  print('epoch', i)" in " ".join(listed.shown.split("   "))
        assert "5 of 6" in listed.shown
        early = second.run("nbray.fetch('train', timeout=0)")
        assert early.error == "GetTimeoutError"
        assert "the job train still runs" in early.traceback
        assert "5 of 6 tasks have ended" in early.traceback
        assert "epoch 4" in early.printed
        ready = Path(f"/tmp/nbray-job-{mark}")
        ready.touch()
        try:
            fetched = second.run("nbray.fetch('train')")
        finally:
            ready.unlink()
        assert fetched.result == "[0, 3, 12, 27, 48, 75]"
        for i in range(6):
            assert f"epoch {i}" in fetched.printed
        (bars,) = [
            data["text/plain"] for data in fetched.displays.values()
            if 'class="nbray nbray-progress' in data["text/html"]
        ]
        assert "6 of 6" in bars
        assert second.run("squares").result == "[0, 1, 4, 9, 16, 25]"
        assert "done, fetched" in second.run("%nbray jobs").shown
        second.run("%nbray jobs forget train")
        assert "no named jobs" in second.run("%nbray jobs").shown
        kill(second)
    # All jobs have been fetched, and nobody is attached any more.
    assert eventually(lambda: not native.records())


def test_a_cluster_without_named_jobs_still_ends_with_its_kernel() -> None:
    with kernel() as front:
        assert not front.run(LOAD + "%nbray start --cpus 2").error
        assert not front.run("%%remote --bg\ntime.sleep(60)").error
        kill(front)
        assert eventually(lambda: not native.records())


def test_a_fetched_job_does_not_keep_the_cluster() -> None:
    with kernel() as front:
        assert not front.run(LOAD + "%nbray start --cpus 2").error
        front.run("%%remote --bg --name one\n41 + 1")
        assert front.run("nbray.fetch('one')").result == "42"
        kill(front)
        assert eventually(lambda: not native.records())


def test_stop_ends_a_detached_cluster_from_any_notebook(mark: str) -> None:
    with kernel() as first:
        said = first.run(LOAD + "%nbray start --cpus 1 --detach")
        assert "It stays when this notebook ends" in said.streams
        assert not first.run("%%remote --bg --name long\ntime.sleep(600)").error
        kill(first)
    with kernel() as second:
        said = second.run(LOAD + "%nbray start --cpus 1")
        assert "A cluster that outlived its notebook runs here, too, at 127.0.0.1:" in said.streams
        assert "%nbray attach 127.0.0.1:" in second.run("%nbray jobs").streams
        second.run("%nbray stop\n%nbray attach")
        again = second.run("%%remote --bg --name long\n1")
        assert "the job long runs already" in again.traceback
        assert "running" in second.run("%nbray jobs").shown
        assert "with it what ran in the background: long" in second.run("%nbray stop").streams
        assert not native.records()
        assert not [line for line in marked(mark).values() if "nbray" in line]


def test_stop_in_an_attached_notebook_leaves_the_others_cluster_alone() -> None:
    with kernel() as first:
        assert not first.run(LOAD + "%nbray start --cpus 2").error
        with kernel() as second:
            assert not second.run(LOAD + "%nbray attach").error
            assert second.run("nbray.get(nbray.put(1))").result == "1"
            said = second.run("%nbray stop")
            assert said.streams.startswith("This notebook has left the cluster, which goes on")
            assert "%nbray stop --cluster" in said.streams
        assert first.run("nbray.get(nbray.remote(lambda: 2).remote())").result == "2"
        assert first.run("%nbray stop").streams == "nbray has stopped.\n"


@pytest.mark.parametrize("how", ["--bg --name named", "--detach"])
def test_stop_in_an_attached_notebook_leaves_what_others_use(how: str) -> None:
    with kernel() as first:
        detach = how if how == "--detach" else ""
        assert not first.run(LOAD + f"%nbray start --cpus 2 {detach}").error
        if not detach:  # from now on its owner reads 'detached'
            first.run(f"%%remote {how}\ntime.sleep(600)")
        first.run("@remote\nclass Kept:\n    def get(self): return 7\nkept = Kept.remote()")
        assert first.run("nbray.get(kept.get.remote())").result == "7"
        with kernel() as second:
            assert not second.run(LOAD + "%nbray attach").error
            said = second.run("%nbray stop").streams
            assert "has left the cluster, which goes on (another program uses it)" in said
            again = re.findall(r"If it is to end for all: (%nbray attach \S+), then (.*)\.", said)
            assert first.run("nbray.get(kept.get.remote())").result == "7"
            for line in again[0]:
                assert not second.run(line).error
            assert eventually(lambda: not native.records())


def test_errors_and_stop_come_back_as_well() -> None:
    with kernel() as first:
        assert not first.run(LOAD + "%nbray start --cpus 2").error
        first.run("%%remote --bg --name bad\ndivisor = 0\n1 / divisor")
        first.run("%%remote --bg --name long\ntime.sleep(600)")
        first.run("nbray.shutdown()")  # also an orderly end leaves it alone
    with kernel() as second:
        second.run(LOAD + "%nbray attach")
        failed = second.run("nbray.fetch('bad')")
        assert failed.error.endswith("ZeroDivisionError") or "ZeroDivisionError" in failed.traceback
        assert "1 / divisor" in failed.traceback
        assert "1 task cancelled" in second.run("%nbray jobs stop long").streams
        assert "TaskCancelledError" in second.run("nbray.fetch('long')").traceback
        assert "stopped" in second.run("%nbray jobs").shown
        unknown = second.run("nbray.fetch('lung')")
        assert "no job is called 'lung': there are bad, long" in unknown.traceback
        kill(second)
    assert eventually(lambda: not native.records())


def test_large_values_belong_to_the_job() -> None:
    with kernel() as first:
        assert not first.run(LOAD + "import numpy as np\n%nbray start --cpus 1").error
        first.run("data = np.arange(500_000, dtype=float)")
        first.run(
            "%%remote --bg --name big\nprint('begun')\ntime.sleep(1.5)\n"
            "pieces = data * 2\npieces"
        )
        kill(first)
    with kernel() as second:
        second.run(LOAD + "%nbray attach")
        second.run("found = nbray.fetch('big')")
        assert second.run("float(found.sum()), found.shape").result == "(249999500000.0, (500000,))"
        second.run("%nbray stop")


def test_a_keeper_that_died_says_what_happened_and_what_to_do(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with kernel() as front:
        assert not front.run(LOAD + "%nbray start --cpus 2").error
        launched = front.run(
            "%%remote --bg --name train -o score\n"
            f"print('epoch 1', flush=True)\nopen({str(begun)!r}, 'w').close()\n"
            "time.sleep(600)\nscore = 1"
        )
        assert not launched.error, launched.traceback
        while "epoch 1" not in launched.printed:  # so the keeper has it
            front.until(lambda _message: True)
        os.kill(keeper_pid(), signal.SIGKILL)
        lost = front.run("train = _\nnbray.fetch('train')")
        assert lost.error == "OwnerDiedError"
        assert "the job train is lost, and its result with it: its keeper on " in lost.traceback
        assert "Run its cell again, or drop it with %nbray jobs forget train" in lost.traceback
        assert "epoch 1" in lost.printed
        (row,) = front.run("%nbray jobs").shown.splitlines()[1:]
        assert row.split()[:3] == ["train", "lost", "print('epoch"]
        handle = front.run("train.result()")
        assert handle.error == "OwnerDiedError"
        assert "the job train is lost" in handle.traceback
        again = front.run("%%remote --bg --name train -o score\nscore = 2")
        assert not again.error, again.traceback  # a lost job's name is free
        assert front.run("nbray.fetch('train')").result == "2"
        assert "done, fetched" in front.run("%nbray jobs").shown
        kill(front)
        assert eventually(lambda: not native.records())


def keeper_pid() -> int:
    """The process that has a job's journal open."""
    (record,) = native.records()
    (keeper,) = [
        process.pid
        for process in psutil.Process(record.root_pid).children(recursive=True)
        if any(file.path.endswith(".events") for file in process.open_files())
    ]
    return int(keeper)
