"""Scheduling: resources, impossible requests, nodes, sessions, counts by cell."""

from __future__ import annotations

import itertools
import time

import pytest
from api import ray

from nbray import session


@ray.remote
class Plain:
    def ping(self):
        return "pong"


def test_cluster_resources():
    total = ray.cluster_resources()
    assert total["CPU"] == 4
    assert total["special"] == 2
    assert total["memory"] > 0
    assert total["object_store_memory"] > 0


def test_available_resources_when_idle(until):
    until(lambda: ray.available_resources().get("CPU") == 4)
    assert ray.available_resources()["special"] == 2


def test_an_actor_holds_its_resources(until):
    actor = Plain.options(num_cpus=2, resources={"special": 1}).remote()
    assert ray.get(actor.ping.remote()) == "pong"
    until(lambda: ray.available_resources().get("CPU", 0) == 2)
    until(lambda: ray.available_resources().get("special", 0) == 1)
    ray.kill(actor)
    until(lambda: ray.available_resources().get("CPU", 0) == 4)
    until(lambda: ray.available_resources().get("special", 0) == 2)


def test_an_actor_gives_its_resources_back_with_its_last_handle(until):
    actor = Plain.options(num_cpus=3).remote()
    assert ray.get(actor.ping.remote()) == "pong"
    until(lambda: ray.available_resources().get("CPU", 0) == 1)
    del actor
    until(lambda: ray.available_resources().get("CPU", 0) == 4)


def test_an_idle_actor_needs_no_cpu_by_default(until):
    actors = [Plain.remote() for _ in range(6)]
    assert ray.get([actor.ping.remote() for actor in actors], timeout=60) == ["pong"] * 6
    until(lambda: ray.available_resources().get("CPU", 0) == 4)


def test_fractions_of_resources():
    @ray.remote(num_cpus=0.25, resources={"special": 0.5})
    def assigned():
        return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(assigned.remote()) == {"CPU": 0.25, "special": 0.5}


def test_a_task_without_cpus():
    @ray.remote(num_cpus=0)
    def assigned():
        return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(assigned.remote()) == {}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_cpus": -1}, ValueError),
        ({"num_cpus": "two"}, TypeError),
        ({"num_cpus": float("nan")}, ValueError),
        ({"resources": {"CPU": 1}}, ValueError),
        ({"resources": [1]}, TypeError),
        ({"max_retries": 1.5}, TypeError),
        ({"num_returns": -1}, ValueError),
        ({"name": 3}, TypeError),
        ({"runtime_env": 5}, TypeError),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, error):
    with pytest.raises(error):
        ray.remote(**options)(lambda: 1)


def test_no_gpus_are_assigned_without_asking():
    @ray.remote
    def gpus():
        return ray.get_gpu_ids(), ray.get_runtime_context().get_accelerator_ids()

    none, kinds = ray.get(gpus.remote())
    assert none == []
    assert {"GPU", "TPU", "HPU", "NPU", "neuron_cores"} <= set(kinds)
    assert all(held == [] for held in kinds.values())


def test_nodes():
    nodes = ray.nodes()
    assert len(nodes) == 1
    assert nodes[0]["Alive"] is True
    assert nodes[0]["Resources"]["CPU"] == 4
    assert nodes[0]["NodeManagerAddress"]
    assert nodes[0]["NodeManagerHostname"]


def test_tasks_know_their_node():
    @ray.remote
    def here():
        return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()

    node = ray.nodes()[0]
    assert ray.get(here.remote()) == (node["NodeID"], node["NodeManagerAddress"])


def test_a_cell_that_calls_init_again_has_the_same_session():
    ref = ray.put("kept")
    token = session.cell.set("a cell")
    try:
        with pytest.warns(RuntimeWarning, match="already runs"):
            again = ray.init(num_cpus=1)
        ray.init()
    finally:
        session.cell.reset(token)
    assert again.address_info["node_id"] == ray.nodes()[0]["NodeID"]
    assert ray.cluster_resources()["CPU"] == 4
    assert ray.get(ref) == "kept"


def test_init_twice_is_a_mistake_unless_it_is_said():
    ref = ray.put("kept")
    with pytest.raises(RuntimeError, match=r"twice by accident.*ignore_reinit_error=True"):
        ray.init(num_cpus=1)
    ray.init(ignore_reinit_error=True, num_cpus=1)
    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 4
    assert ray.get(ref) == "kept"


def test_init_with_another_address_is_refused():
    with pytest.raises(RuntimeError, match="shutdown"):
        ray.init(address="203.0.113.7:6379")


@pytest.mark.own
def test_counts_of_a_cell(until):
    @ray.remote
    def work(x):
        return 1 / x

    token = session.cell.set("cell-7")
    try:
        refs = [work.remote(x) for x in (1, 2, 0, 4)]
        actor = Plain.remote()
        refs.append(actor.ping.remote())
    finally:
        session.cell.reset(token)
    ray.wait(refs, num_returns=5, timeout=60)

    def view():
        return session.require().insight.snapshot().cells["cell-7"]

    until(lambda: view().finished)
    assert (view().submitted, view().done, view().failed) == (5, 4, 1)
    assert sum(node.done for node in view().nodes) == 4


@pytest.mark.own
def test_the_snapshot_shows_the_node_and_actors(until):
    actor = Plain.remote()
    ray.get(actor.ping.remote())
    until(lambda: session.require().insight.snapshot().actors >= 1)
    snapshot = session.require().insight.snapshot()
    assert [node.number for node in snapshot.nodes] == [1]
    assert snapshot.nodes[0].resources["CPU"] == 4


@pytest.mark.own
def test_prints_go_to_the_sink_with_their_cell(until):
    seen = []

    @ray.remote
    def speak():
        print("hello from afar")
        print("unfinished", end="")

    engine = session.require()
    engine.cells.on_output(seen.append)
    token = session.cell.set("cell-8")
    try:
        ray.get(speak.remote())
        until(lambda: "unfinished" in "".join(output.text for output in seen))
    finally:
        session.cell.reset(token)
        engine.cells.on_output(None)
    assert "".join(output.text for output in seen) == "hello from afar\nunfinished"
    assert {output.cell for output in seen} == {"cell-8"}
    assert {output.stream for output in seen} == {"stdout"}
    assert all(output.task.endswith("speak") for output in seen)


@pytest.mark.own
def test_prints_of_an_actor_go_to_the_calling_cell(until):
    seen = []

    @ray.remote
    class Speaker:
        def speak(self, text):
            print(text)

    speaker = Speaker.remote()
    engine = session.require()
    engine.cells.on_output(seen.append)
    try:
        for cell in ("one", "two"):
            token = session.cell.set(cell)
            ray.get(speaker.speak.remote(cell))
            session.cell.reset(token)
        until(lambda: len(seen) >= 2)
    finally:
        engine.cells.on_output(None)
    assert {(output.cell, output.text) for output in seen} == {("one", "one\n"), ("two", "two\n")}


@pytest.mark.concurrent
def test_no_more_tasks_run_than_there_are_resources():
    @ray.remote(num_cpus=2)
    def work():
        started = time.time()
        time.sleep(0.3)
        return started, time.time()

    spans = ray.get([work.remote() for _ in range(4)])
    for start, _ in spans:
        assert sum(begin <= start < end for begin, end in spans) <= 2


@pytest.mark.concurrent
def test_custom_resources_limit_tasks():
    @ray.remote(num_cpus=0, resources={"special": 2})
    def work():
        started = time.time()
        time.sleep(0.2)
        return started, time.time()

    spans = sorted(ray.get([work.remote() for _ in range(3)]))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


@pytest.mark.concurrent
def test_blocked_tasks_give_their_cpus_back():
    @ray.remote
    def deep(levels):
        if levels == 0:
            return 0
        return 1 + ray.get(deep.remote(levels - 1))

    assert ray.get(deep.remote(8), timeout=60) == 8


@pytest.mark.concurrent
def test_many_blocked_parents():
    @ray.remote
    def child(x):
        time.sleep(0.01)
        return x

    @ray.remote
    def parent(x):
        return sum(ray.get([child.remote(x) for _ in range(3)]))

    assert ray.get([parent.remote(i) for i in range(12)], timeout=60) == [3 * i for i in range(12)]


@pytest.mark.concurrent
def test_an_actor_that_waits_for_resources_comes_when_they_are_free():
    first = Plain.options(num_cpus=4).remote()
    assert ray.get(first.ping.remote(), timeout=60) == "pong"
    second = Plain.options(num_cpus=4).remote()
    ref = second.ping.remote()
    assert ray.wait([ref], timeout=0.3) == ([], [ref])
    ray.kill(first)
    assert ray.get(ref, timeout=60) == "pong"


@pytest.mark.own
@pytest.mark.concurrent
def test_cancelling_the_work_of_a_cell():
    @ray.remote
    def forever():
        while True:
            time.sleep(0.01)

    @ray.remote
    def short():
        time.sleep(0.5)
        return "done"

    other = short.remote()
    token = session.cell.set("cell-9")
    refs = [forever.remote() for _ in range(6)]
    session.cell.reset(token)
    time.sleep(0.3)
    assert session.require().cells.cancel("cell-9", False) == 6
    for ref in refs:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=60)
    assert ray.get(other, timeout=60) == "done"
