"""`cluster_utils.Cluster`: several nodes on this machine, as tests of Ray's users make them."""

from __future__ import annotations

import pytest
from api import load, ray
from harness import eventually

Cluster = load("cluster_utils").Cluster
HEAD = {"num_cpus": 1, "resources": {"first": 1}, "include_dashboard": False}


pytestmark = pytest.mark.concurrent  # nodes are processes


@pytest.fixture(autouse=True)
def _alone(engine):
    """The module's own cluster is in nobody's way."""
    ray.shutdown()


@ray.remote(num_cpus=0)
def where():
    return ray.get_runtime_context().get_node_id()


@ray.remote(num_cpus=0)
class Here:
    def where(self):
        return ray.get_runtime_context().get_node_id()


def alive():
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def test_nodes_come_and_go():
    cluster = Cluster()
    assert (cluster.head_node, cluster.address, cluster.list_all_nodes()) == (None, None, [])
    with pytest.raises(AssertionError):
        cluster.connect()
    with pytest.raises(TypeError, match="nonsense"):
        cluster.add_node(nonsense=1)
    head = cluster.add_node(**HEAD)
    second = cluster.add_node(num_cpus=2, resources={"second": 2}, labels={"zone": "b"})
    try:
        assert cluster.head_node is head
        assert cluster.address == cluster.gcs_address == head.gcs_address
        assert cluster.worker_nodes == {second}
        assert [head.is_head(), second.is_head()] == [True, False]
        cluster.wait_for_nodes()
        cluster.connect(namespace="tests")
        assert ray.get_runtime_context().namespace == "tests"
        assert ray.get_runtime_context().get_node_id() == head.node_id
        assert alive() == {head.node_id, second.node_id}
        assert ray.cluster_resources()["CPU"] == 3.0
        assert ray.get(where.options(resources={"second": 1}).remote()) == second.node_id
        assert ray.get(where.options(label_selector={"zone": "b"}).remote()) == second.node_id
        actor = Here.options(resources={"second": 0.1}, max_restarts=1).remote()
        assert ray.get(actor.where.remote()) == second.node_id

        waits = where.options(resources={"third": 1}).remote()
        third = cluster.add_node(resources={"third": 1, "second": 1}, wait=True)
        assert ray.get(waits, timeout=60) == third.node_id

        cluster.remove_node(second, allow_graceful=False)
        assert not second.any_processes_alive()
        cluster.wait_for_nodes()
        assert set(cluster.list_all_nodes()) == {head, third}
        assert eventually(lambda: alive() == {head.node_id, third.node_id})
        assert len(ray.nodes()) == 3

        def moved():
            try:
                return ray.get(actor.where.remote(), timeout=60) == third.node_id
            except ray.exceptions.ActorUnavailableError:
                return False

        assert eventually(moved)

        third.kill_raylet()  # a fault: nobody has removed it
        assert not third.any_processes_alive()
        assert cluster.remaining_processes_alive()  # of those that nobody has killed so
        assert eventually(lambda: alive() == {head.node_id})
        with pytest.raises(TimeoutError, match="Timed out"):
            cluster.wait_for_nodes(timeout=0.2)
        cluster.remove_node(third)

        with pytest.raises(ValueError, match="connected to this Ray client is not allowed"):
            cluster.remove_node(head)
        assert not ray.is_initialized()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert cluster.list_all_nodes() == []


def test_a_head_that_is_attached_to_at_once():
    with pytest.raises(RuntimeError, match="uninitialized"):
        Cluster(connect=True)
    cluster = Cluster(initialize_head=True, connect=True, head_node_args=HEAD)
    try:
        assert cluster.connected
        assert ray.is_initialized()
        with pytest.raises(AssertionError):
            cluster.connect()
        assert ray.cluster_resources()["first"] == 1.0
        cluster.wait_for_nodes()
    finally:
        ray.shutdown()
        cluster.shutdown()
