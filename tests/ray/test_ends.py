"""A Ray cluster that is not there, or ends under its driver: the process goes on, and is told."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from harness import free_port
from ray_clusters import head

import nbray
from nbray.exceptions import RaySystemError

PROGRAM = """
import sys, nbray
nbray.init(sys.argv[1], engine="ray", log_to_driver=False)

@nbray.remote(num_cpus=0)
def waits():
    import time
    time.sleep(1000)

kept, ref = nbray.put(5), waits.remote()
print("ready", flush=True)
for use in (lambda: nbray.get(ref), lambda: nbray.get(kept), lambda: nbray.put(1),
            lambda: waits.remote(), nbray.nodes, nbray.get_runtime_context().get_node_id):
    try:
        use()
    except nbray.exceptions.RaySystemError as error:
        print(error, flush=True)
nbray.shutdown()
print("over", nbray.is_initialized(), flush=True)
"""


@pytest.mark.skipif("NBRAY_TEST_RAY" in os.environ, reason="ends a cluster of its own")
def test_a_cluster_that_ends_under_its_driver_is_told_at_every_use():
    with head() as address:
        driver = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address], stdout=subprocess.PIPE, text=True
        )
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
    said = driver.stdout.read().splitlines()
    assert driver.wait(120) == 0
    assert len(said) == 7, said
    assert all("the cluster has ended: the process of Ray's node" in line for line in said[:-1])
    assert said[-1] == "over False"


def test_an_address_where_nothing_listens():
    nbray.shutdown()
    with pytest.raises(RaySystemError, match="does not answer"):
        nbray.init(f"127.0.0.1:{free_port()}", engine="ray")
    assert not nbray.is_initialized()
