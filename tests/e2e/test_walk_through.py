"""Two nodes by Ray's own command lines, and what its documentation does with them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from e2e import cli
from e2e.test_command_line import HERE, free_port
from harness import eventually

import nbray as ray
from nbray.cli import main
from nbray.util import state
from nbray.util.placement_group import placement_group, remove_placement_group
from nbray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)


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


def test_a_driver_that_names_no_cluster(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `ray start`: `init()` means that one, unless it says how large a cluster is."""
    program = (
        "import nbray as ray; ray.init(); print(ray.cluster_resources()['CPU']); ray.shutdown(); "
        "ray.init(num_cpus=5); print(ray.cluster_resources()['CPU'])"
    )
    done = cli.run([sys.executable, "-c", program])
    assert done.stdout.split() == ["3.0", "5.0"], done.stderr
    jobs = json.loads(nbray("list", "jobs", "--format", "json"))
    assert [one["status"] for one in jobs if program in one["entrypoint"]] == ["SUCCEEDED"]
    assert not [one for one in jobs if " status" in one["entrypoint"]], "who looks is no job"
    port = address.rpartition(":")[2]
    monkeypatch.setenv("RAY_ADDRESS", f"localhost:{port}")
    ray.init(address="auto", namespace="one")
    assert ray.cluster_resources()["CPU"] == 3
    assert ray.get_runtime_context().gcs_address == address


def test_where_work_runs(address: str) -> None:
    ray.init(address=address)
    spread = where.options(num_cpus=0, scheduling_strategy="SPREAD")
    assert len(set(ray.get([spread.remote() for _ in range(6)]))) == 2
    group = placement_group([{"CPU": 1}] * 2, strategy="STRICT_SPREAD")
    ray.get(group.ready(), timeout=60)
    bundles = [PlacementGroupSchedulingStrategy(group, index) for index in range(2)]
    found = [where.options(num_cpus=1, scheduling_strategy=one).remote() for one in bundles]
    assert len(set(ray.get(found))) == 2
    remove_placement_group(group)
    for node in ray.nodes():
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        assert ray.get(where.options(scheduling_strategy=strategy).remote()) == node["NodeID"]


def test_a_node_that_joins_later_and_is_killed(address: str) -> None:
    ray.init(address=address)
    third = where.options(resources={"third": 1}).remote()
    assert ray.wait([third], timeout=0.2)[1] == [third]
    argv = ["start", "--address", address, "--num-cpus=1", '--resources={"third": 1}', "--block"]
    with subprocess.Popen(
        [*cli.NBRAY, *argv], env=cli.environment(), stdout=subprocess.DEVNULL
    ) as command:  # fmt: skip
        there = ray.get(third, timeout=60)
        strategy = NodeAffinitySchedulingStrategy(there, soft=True)
        moves = Counter.options(max_restarts=1, max_task_retries=3, scheduling_strategy=strategy)
        counter = moves.remote()
        stays = Counter.options(resources={"third": 1}).remote()
        assert ray.get([counter.add.remote(), stays.add.remote()]) == [1, 1]
        assert " 0.0/1.0 third" not in nbray("status", "--address", address)
        command.send_signal(signal.SIGKILL)  # not even its terminal may say goodbye
    assert eventually(lambda: sum(node["Alive"] for node in ray.nodes()) == 2)
    assert ray.get(counter.add.remote(), timeout=60) == 1, "made again elsewhere"
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(stays.add.remote(), timeout=60)
    waits = where.options(resources={"third": 1}).remote()
    deadline = time.monotonic() + 60
    while (told := nbray("status", "--address", address)).endswith("(no resource demands)\n"):
        assert time.monotonic() < deadline, told
    assert "'third': 1.0}: 1+ pending tasks/actors" in told
    ray.cancel(waits)


def test_an_actor_ended_by_the_command_line(address: str) -> None:
    ray.init(address=address, namespace="one")
    Counter.options(name="ends", lifetime="detached").remote()
    command = ("kill-actor", "--name=ends", "--namespace=one", "--address", address)
    assert "Requested graceful termination" in cli.nbray(*command).stdout
    assert eventually(lambda: "ends" not in ray.util.list_named_actors())
    done = cli.nbray(*command)
    assert done.returncode == 1
    assert "No named actor found: ends" in done.stderr


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
    assert "is not supported" in nbray("list", "tasks", "--filter", "bogus=1", status=2)
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
    said = nbray("job", "submit", "--", "pwd")
    assert f"{Path.home()}\n" in said, "the folder in which the head was started is gone"
    assert said.rstrip().endswith("succeeded")
    failed = nbray("job", "submit", "--submission-id", "bad", "--", "sh", "-c", "exit 3", status=1)
    assert "failed with exit code 3" in failed
    assert nbray("job", "status", "bad").endswith("\nJob 'bad' failed\n")
    assert "bad" in nbray("job", "list")
    assert "deleted" in nbray("job", "delete", "bad")
    assert "does not exist" in nbray("job", "logs", "bad", status=1)
