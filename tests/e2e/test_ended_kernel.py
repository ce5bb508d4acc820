"""The cluster ends under a notebook that is attached to it: everything shown says so."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import psutil
import pytest
from e2e.cli import nbray
from e2e.front import running

import nbray as ray
from nbray import session
from nbray.exceptions import RaySystemError

ATTACH = "%load_ext nbray\n%nbray attach\nimport time\n@remote\ndef nap(s):\n    time.sleep(s)"
BEGIN = ("start", "--head", "--node-ip-address=127.0.0.1", "--port=0", "--num-cpus=2")


def test_bars_panel_status_and_a_new_start(no_leaks: None) -> None:
    assert nbray(*BEGIN).returncode == 0
    try:
        with running(ATTACH) as (front, attached):
            waits = front.start("nbray.get([nap.remote(0)] + [nap.remote(60) for _ in range(9)])")
            front.until(
                lambda _: any("of 10" in data["text/plain"] for data in waits.displays.values())
            )
            assert nbray("stop").returncode == 0
            front.finish(waits)
            assert waits.error == "RaySystemError"
            assert "the cluster has ended" in waits.traceback
            assert "nbray.init() starts another" in waits.traceback
            shown = "\n".join(data["text/plain"] for data in waits.displays.values())
            assert re.search("9 cancelled|10 cancelled", shown), shown
            assert "running" not in shown
            if not any("stopped" in data["text/plain"] for data in attached.displays.values()):
                front.until(
                    lambda _: any(
                        "stopped" in data["text/plain"] for data in attached.displays.values()
                    )
                )
            status = front.run("%nbray").text
            assert re.match("nbray is not running any more, its cluster has ended: ", status)
            assert "%nbray start" in status
            assert front.run("nbray.is_initialized()").result == "False"
            begun = front.run("%nbray start --cpus 1")
            assert "nbray is running: 1 node, 1 CPU" in begun.text
            assert front.run("nbray.get(nap.remote(0)) or 'slept'").result == "'slept'"
    finally:
        nbray("stop")


def test_a_program_may_just_init_again(no_leaks: None) -> None:
    assert nbray(*BEGIN).returncode == 0
    try:
        ray.init("auto")
        kept = ray.put("kept")
        assert nbray("stop").returncode == 0
        with pytest.raises(RaySystemError, match=r"the cluster has ended: .*nbray\.init\(\)"):
            ray.get(ray.remote(lambda: 1).remote())
        assert not ray.is_initialized()
        ray.init(num_cpus=1, engine="native")
        assert ray.get(ray.remote(lambda: 1).remote()) == 1
        del kept
    finally:
        ray.shutdown()
        nbray("stop")


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.mark.parametrize("whom", ["node", "all"])
def test_a_killed_node_ends_every_wait(no_leaks: None, whom: str) -> None:
    ray.init(num_cpus=1, engine="native")
    try:
        launch = ray.remote(nap)
        ref = launch.remote(600)
        waits = launch.remote(0).future()
        engine: Any = session.current()
        node = psutil.Process(engine.context._registered.node_pid)
        family = [node, *psutil.Process().children(recursive=True)]
        for process in family if whom == "all" else [node]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with pytest.raises(RaySystemError, match="its node on this machine .* has died"):
            ray.get(ref, timeout=60)
        with pytest.raises(RaySystemError, match="has died"):
            waits.result(60)
        assert not ray.is_initialized()
        ray.init(num_cpus=1, engine="native")
        assert ray.get(launch.remote(0)) == 0
    finally:
        ray.shutdown()


def test_what_waits_for_a_future_hears_of_the_shutdown(no_leaks: None) -> None:
    ray.init(num_cpus=1, engine="native")
    waits = ray.remote(nap).remote(600).future()
    ray.shutdown()
    with pytest.raises(RaySystemError, match="shutdown"):
        waits.result(60)
