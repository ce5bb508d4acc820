"""What ends by force, over Ray: a node, a driver; and a second Ray beside the one in use.

A worker that dies is in `test_cells`, a whole cluster in `test_ends`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from harness import eventually, marked
from ray_clusters import TOKEN, head, node, power_off

import nbray
from nbray import session
from nbray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    WorkerCrashedError,
)

FAR = {"num_cpus": 0, "resources": {"far": 1}}


@nbray.remote(num_cpus=0)
def begins(path: str) -> str:
    if not Path(path).exists():
        Path(path).touch()
        time.sleep(600)
    return nbray.get_runtime_context().get_node_id()


@nbray.remote
class Far:
    def here(self) -> str:
        return nbray.get_runtime_context().get_node_id()


def test_a_node_that_dies_takes_only_what_ran_there(
    notebook: Any, cluster: str, tmp_path: Any
) -> None:
    engine = notebook.engine
    with node(cluster, "--resources", '{"far": 4}') as other:
        actor = Far.options(**FAR).remote()
        there = nbray.get(actor.here.remote(), timeout=60)
        assert there != nbray.get_runtime_context().get_node_id()
        paths = [str(tmp_path / name) for name in ("once", "again")]
        once = begins.options(max_retries=0, **FAR).remote(paths[0])
        soft = nbray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(there, soft=True)
        again = begins.options(max_retries=1, scheduling_strategy=soft).remote(paths[1])
        assert eventually(lambda: all(Path(path).exists() for path in paths))
        notebook.settled(lambda view: sum(one.running for one in view.nodes) == 2)
        power_off(other)
        with pytest.raises((NodeDiedError, WorkerCrashedError)):
            nbray.get(once, timeout=100)
        with pytest.raises((ActorDiedError, ActorUnavailableError)):
            nbray.get(actor.here.remote(), timeout=100)
        assert nbray.get(again, timeout=100) == nbray.get_runtime_context().get_node_id()
    view = notebook.settled()
    assert (view.submitted, view.done, view.failed) == (4, 2, 2), view
    alive = {one.node_id: one.alive for one in engine.insight.snapshot().nodes}
    assert not alive[there]
    assert list(alive.values()).count(True) == 1
    assert nbray.get(Far.options(num_cpus=1).remote().here.remote(), timeout=60) in alive


DRIVER = """
import sys, time, nbray
nbray.init(sys.argv[1], engine="ray", namespace="killed", log_to_driver=False)
from nbray import session
session.require().cells.on_output(lambda event: None)

@nbray.remote(num_cpus=0)
class Named:
    def runs(self):
        return 1

@nbray.remote(num_cpus=0)
def sleeps():
    time.sleep(1000)

named = Named.options(name="named").remote()
nbray.get(named.runs.remote())
ref = sleeps.remote()
import ray
print("job", ray.get_runtime_context().get_job_id(), flush=True)
time.sleep(1000)
"""


def own_actors() -> set[str]:
    """nbray's own actors on the cluster, and those of drivers, by name."""
    import ray

    return {
        one["name"] for one in ray.util.list_named_actors(all_namespaces=True)
        if one["namespace"] in {"_nbray", "killed"}
    }  # fmt: skip


def test_a_driver_that_is_killed_leaves_nothing(
    engine: Any, cluster: str, mark: str
) -> None:
    del engine  # that of this process, which looks
    from ray.experimental.internal_kv import _internal_kv_list

    nbray.get(Far.options(num_cpus=0).remote().here.remote())
    before = own_actors()
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, cluster], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    job = driver.stdout.readline().split()[1]

    def kept() -> list[bytes]:
        return _internal_kv_list(f"RemoteFunction:{job}:".encode(), namespace="fun")

    assert eventually(lambda: len(own_actors() - before) == 2)  # its mailbox, and the named one
    assert kept()
    assert any("sleeps" in line for line in marked(mark).values())
    driver.send_signal(signal.SIGKILL)
    driver.wait(60)
    driver.stdout.close()
    assert eventually(lambda: own_actors() == before)
    assert eventually(lambda: not kept())
    assert eventually(
        lambda: not any(re.search("sleeps|Named", line) for line in marked(mark).values())
    )


def test_each_of_two_clusters_is_the_one_that_was_asked_for(cluster: str) -> None:
    if "NBRAY_TEST_RAY" in os.environ:
        pytest.skip("starts a cluster of its own")
    nbray.shutdown()
    with head() as second:
        for address in (second, cluster):
            nbray.init(address, engine="ray", log_to_driver=False)
            port = nbray.get_runtime_context().gcs_address.rpartition(":")[2]
            assert port == address.rpartition(":")[2]
            nbray.shutdown()
        nbray.init(engine="ray", num_cpus=1, log_to_driver=False)  # one of its own beside both
        own = nbray.get_runtime_context().gcs_address.rpartition(":")[2]
        assert own not in {one.rpartition(":")[2] for one in (second, cluster)}
        nbray.shutdown()
    nbray.init(cluster, engine="ray", log_to_driver=False)  # the other's end was not this one's
    assert nbray.get(nbray.put(1)) == 1
    nbray.shutdown()


def test_a_wrong_token_is_said_and_forgotten(cluster: str) -> None:
    import ray

    if not hasattr(ray.exceptions, "AuthenticationError"):
        pytest.skip("this release of Ray has no tokens")
    nbray.shutdown()
    with pytest.raises(nbray.exceptions.AuthenticationError, match="ray get-auth-token"):
        nbray.init(cluster, engine="ray", _redis_password="0" * 64)
    assert not nbray.is_initialized()
    nbray.init(cluster, engine="ray", log_to_driver=False)
    assert f"RAY_AUTH_TOKEN={TOKEN} ray start" in session.require().cluster.join_line()
    nbray.shutdown()
