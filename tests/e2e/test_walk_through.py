"""Two nodes by Ray's own command lines, and what its documentation does with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from e2e import cli
from e2e.test_command_line import HERE, free_port

import nbray as ray
from nbray.cli import main
from nbray.util import state


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A head with two CPUs and a node with a resource of its own, on this machine."""
    address = f"{HERE}:{free_port()}"
    port = address.rpartition(":")[2]
    flags = ("--disable-usage-stats", "--dashboard-host=0.0.0.0")
    first = ("start", "--head", "--node-ip-address", HERE, f"--port={port}", "--num-cpus=2")
    done = cli.nbray(*first, *flags)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("has no effect here") == 2
    second = ("start", f"--address={address}", "--num-cpus=1", '--resources={"second": 1}')
    done = cli.nbray(*second)
    assert done.returncode == 0, done.stderr
    yield address
    stopped = cli.nbray("stop", "--force")
    assert stopped.stdout == "stopped 2 nodes\n", stopped.stderr


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    yield
    ray.shutdown()


def nbray(*argv: str, status: int = 0) -> str:
    done: Result = CliRunner().invoke(main, argv)
    assert done.exit_code == status, done.output
    return done.output


@ray.remote
def where():
    return ray.get_runtime_context().get_node_id()


@ray.remote
class Counter:
    def __init__(self):
        self.n = 0

    def add(self):
        self.n += 1
        return self.n


def test_drivers_by_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray.init(address=address, namespace="one")
    assert ray.cluster_resources()["CPU"] == 3
    assert len([node for node in ray.nodes() if node["Alive"]]) == 2
    here, there = ray.get([where.remote(), where.options(resources={"second": 1}).remote()])
    assert there in {node["NodeID"] for node in ray.nodes()} - {ray.nodes()[0]["NodeID"]}
    counter = Counter.options(name="counter", lifetime="detached").remote()
    assert ray.get(counter.add.remote()) == 1
    ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", address)
    ray.init(namespace="two")
    with pytest.raises(ValueError):
        ray.get_actor("counter")
    counter = ray.get_actor("counter", namespace="one")
    assert ray.get(counter.add.remote()) == 2
    ended = state.list_tasks(filters=[("name", "=", "where"), ("state", "=", "FINISHED")])
    assert {one.node_id for one in ended} == {here, there}, "of the driver before"


def test_what_the_command_line_tells(address: str, tmp_path: Path) -> None:
    assert "2 nodes" in nbray("status", "--address", address, "-v")
    nbray("health-check", "--address", address)
    assert "is not part of a cluster" in nbray("health-check", "--address", f"{HERE}:1", status=1)
    (actor,) = json.loads(nbray("list", "actors", "--format", "json", "--filter", "state=ALIVE"))
    assert (actor["class_name"], actor["name"]) == ("Counter", "counter")
    assert "class_name: Counter" in nbray("get", "actor", actor["actor_id"])
    assert "not found" in nbray("get", "actor", "0" * 32, status=1)
    assert nbray("list", "nodes", "--format", "yaml").count("state: ALIVE") == 2
    assert "Counter" in nbray("summary", "actors")
    assert "is not supported" in nbray("list", "tasks", "--filter", "bogus=1", status=1)
    assert "is none of actors" in nbray("list", "bogus", status=2)
    assert "node.log" in nbray("logs")
    assert "Aggregate object store stats" in nbray("memory", "--stats-only", "--units", "MB")
    trace = tmp_path / "trace.json"
    assert "written to" in nbray("timeline", str(trace))
    assert json.loads(trace.read_text())
    assert "it launches no machines" in nbray("up", "cluster.yaml", status=1)


def test_a_job_by_the_command_line(address: str) -> None:
    said = nbray("job", "submit", "--address", address, "--", "sh", "-c", "echo done; exit 0")
    assert "done\n" in said
    assert said.rstrip().endswith("succeeded")
    failed = nbray("job", "submit", "--submission-id", "bad", "--", "sh", "-c", "exit 3", status=1)
    assert "failed with exit code 3" in failed
    assert "FAILED" in nbray("job", "status", "bad")
    assert "bad" in nbray("job", "list")
    assert "deleted" in nbray("job", "delete", "bad")
    assert "does not exist" in nbray("job", "logs", "bad", status=1)
