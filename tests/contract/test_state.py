"""The state API: what tasks, actors, objects, machines do, as programs ask for it."""

from __future__ import annotations

import os
import time

import pytest
from api import REAL, load, ray

state = load("util.state")
common = load("util.state.common")
ListApiOptions, StateResource = common.ListApiOptions, common.StateResource
RayStateApiException = load("util.state.exception").RayStateApiException


if REAL:  # what tasks do comes to Ray's head a second late

    def _later(method):
        def call(*args, **kwargs):
            time.sleep(1.6)
            return method(*args, **kwargs)

        return call

    for _name in ("list", "get", "summary"):
        setattr(state.StateApiClient, _name, _later(getattr(state.StateApiClient, _name)))


@ray.remote
def plus(a, b=1):
    return a + b


@ray.remote(max_retries=0)
def broken():
    raise ValueError("nope")


@ray.remote
def parent():
    me = ray.get_runtime_context().get_task_id()
    return me, ray.get(child.remote())


@ray.remote
def child():
    return ray.get_runtime_context().get_task_id()


@ray.remote(max_retries=2, retry_exceptions=True)
def flaky():
    raise KeyError("again")


@ray.remote
class Store:
    def add(self, n):
        return n

    def fail(self):
        raise OSError("disk")

    def context(self):
        context = ray.get_runtime_context()
        return (
            context.get_task_name(), context.get_task_function_name(), context.get_actor_id(),
            context.was_current_actor_reconstructed,
        )  # fmt: skip


@ray.remote
def sleep(seconds, *_):
    time.sleep(seconds)


def tasks(name, **filters):
    given = [("name", "=", name), *((key, "=", value) for key, value in filters.items())]
    return state.list_tasks(filters=given, detail=True)


def test_tasks_that_have_ended() -> None:
    ray.get([plus.options(name="adds").remote(1) for _ in range(3)])
    found = tasks("adds")
    assert [one.state for one in found] == ["FINISHED"] * 3
    one = found[0]
    assert one.func_or_class_name.endswith("plus")
    assert (one.type, one.error_type, one.actor_id) == ("NORMAL_TASK", None, None)
    assert one.job_id == ray.get_runtime_context().get_job_id()
    assert one.node_id == ray.get_runtime_context().get_node_id()
    assert one.required_resources == {"CPU": 1.0}
    assert one.end_time_ms >= one.start_time_ms > 1e12
    assert one["task_id"] == one.task_id
    assert one.get("nothing", 7) == 7


def test_what_is_to_be_kept_out_of_it() -> None:
    ray.get(plus.options(name="hidden", enable_task_events=False).remote(1))
    ray.get(plus.options(name="told", enable_task_events=True).remote(1))
    store = Store.remote()
    ray.get(store.add.options(name="hidden", enable_task_events=False).remote(1))
    ray.get(Store.options(enable_task_events=False).remote().add.options(name="hidden").remote(1))
    assert len(tasks("told")) == 1
    assert tasks("hidden") == []


def test_a_task_that_failed() -> None:
    with pytest.raises(ValueError):
        ray.get(broken.options(name="breaks").remote())
    (one,) = tasks("breaks", state="FAILED")
    assert one.error_type == "TASK_EXECUTION_EXCEPTION"
    assert "nope" in one.error_message


def test_a_task_by_its_id_and_its_parent() -> None:
    mother, daughter = ray.get(parent.remote())
    found = state.get_task(daughter)
    assert found.parent_task_id == mother
    assert found.name.endswith("child")
    assert state.get_task(mother).state == "FINISHED"
    assert state.get_task("f" * len(mother)) is None


def test_each_attempt_is_told() -> None:
    with pytest.raises(KeyError):
        ray.get(flaky.options(name="tries").remote())
    found = tasks("tries")
    assert sorted(one.attempt_number for one in found) == [0, 1, 2]
    assert {one.state for one in found} == {"FAILED"}
    attempts = state.get_task(found[0].task_id)
    assert isinstance(attempts, list)
    assert len(attempts) == 3


@pytest.mark.concurrent
def test_tasks_that_run_and_wait() -> None:
    first = sleep.options(num_cpus=4, name="first").remote(30)
    second = sleep.options(num_cpus=4, name="second").remote(30)
    third = sleep.options(name="third").remote(30, first)

    def seen() -> list[str]:
        return [tasks(name)[0].state for name in ("first", "second", "third")]

    deadline = time.monotonic() + 60
    while "RUNNING" not in seen() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seen() == ["RUNNING", "PENDING_NODE_ASSIGNMENT", "PENDING_ARGS_AVAIL"]
    for ref in (third, second, first):
        ray.cancel(ref, force=True)


def test_actors_and_their_calls() -> None:
    one = Store.options(name="shop").remote()
    ray.get(one.add.options(name="adds one").remote(1))
    with pytest.raises(OSError):
        ray.get(one.fail.remote())
    (found,) = state.list_actors(filters=[("name", "=", "shop")], detail=True)
    assert (found.class_name.split(".")[-1], found.state) == ("Store", "ALIVE")
    assert found.ray_namespace == ray.get_runtime_context().namespace
    assert (found.is_detached, found.num_restarts, found.death_cause) == (False, 0, None)
    calls = state.list_tasks(filters=[("actor_id", "=", found.actor_id)])
    by_type = sorted((call.type, call.state) for call in calls)
    assert by_type == [
        ("ACTOR_CREATION_TASK", "FINISHED"), ("ACTOR_TASK", "FAILED"), ("ACTOR_TASK", "FINISHED"),
    ]  # fmt: skip
    assert [call.func_or_class_name.split(".")[-1] for call in tasks("adds one")] == ["add"]
    ray.kill(one)
    deadline = time.monotonic() + 60
    while state.get_actor(found.actor_id).state != "DEAD" and time.monotonic() < deadline:
        time.sleep(0.02)
    dead = state.get_actor(found.actor_id)
    assert dead.state == "DEAD"
    assert "killed" in dead.death_cause["actor_died_error_context"]["error_message"]


@pytest.mark.concurrent
def test_why_actors_have_ended(until) -> None:
    @ray.remote(num_cpus=0)
    class Ends:
        def __init__(self, fails=False):
            if fails:
                raise ValueError("no shop today")

        def crash(self):
            os._exit(3)

    def why(identity):
        until(lambda: state.get_actor(identity).state == "DEAD")
        ((kind, said),) = state.get_actor(identity).death_cause.items()
        return kind, said.get("reason"), str(said)

    unmade, crashed, dropped = Ends.remote(True), Ends.remote(), Ends.remote()
    crashed.crash.remote()
    ray.get(dropped.__ray_ready__.remote())
    gone = dropped._actor_id.hex()
    del dropped
    kind, _, said = why(unmade._actor_id.hex())
    assert kind == "creation_task_failure_context"
    assert "ValueError: no shop today" in said
    for identity, reason in ((crashed._actor_id.hex(), "WORKER_DIED"), (gone, "OUT_OF_SCOPE")):
        assert why(identity)[:2] == ("actor_died_error_context", reason)


def test_an_actor_whose_environment_cannot_be_made(until) -> None:
    @ray.remote(num_cpus=0, runtime_env={"conda": "there-is-no-such-environment"})
    class Actor:
        pass

    actor = Actor.remote()
    identity = actor._actor_id.hex()
    until(lambda: state.get_actor(identity).state == "DEAD")
    said = state.get_actor(identity).death_cause["runtime_env_failed_context"]
    assert "conda" in said["error_message"]


@pytest.mark.parametrize("get", ["get_actor", "get_node", "get_task"])
@pytest.mark.parametrize("identity", ["00", "no digits"])
def test_what_is_no_id(get, identity) -> None:
    with pytest.raises(RayStateApiException):
        getattr(state, get)(identity)


def test_objects_are_told_with_their_sizes() -> None:
    ref = ray.put(b"x" * 300_000)
    (one,) = state.get_objects(ref.hex())
    assert 300_000 <= one.object_size < 301_000
    assert (one.reference_type, one.type) == ("LOCAL_REFERENCE", "DRIVER")
    assert ref.hex() in {each.object_id for each in state.list_objects(limit=1000)}


def test_machines_and_processes() -> None:
    (node,) = state.list_nodes()
    assert (node.node_id, node.state) == (ray.nodes()[0]["NodeID"], "ALIVE")
    assert node.is_head_node
    assert node.resources_total["CPU"] == 4
    assert state.get_node(node.node_id).node_id == node.node_id
    alive = ("is_alive", "=", "true")
    drivers = state.list_workers(filters=[("worker_type", "=", "driver"), alive])
    assert ray.get_runtime_context().get_worker_id() in {one.worker_id for one in drivers}
    jobs = state.list_jobs(filters=[("status", "=", "RUNNING")])
    assert ray.get_runtime_context().get_job_id() in {job.job_id for job in jobs}


def test_filters() -> None:
    ray.get(plus.options(name="filtered").remote(1))
    assert len(tasks("filtered", STATE="finished")) == 1, "texts match in any case"
    assert state.list_tasks(filters=[("name", "=", "filtered"), ("state", "!=", "FINISHED")]) == []
    with pytest.warns(UserWarning, match="multiple '=' filters"):
        assert state.list_tasks(filters=[("name", "=", "a"), ("name", "=", "b")]) == []
    with pytest.raises(RayStateApiException, match="filter column nothing is not supported"):
        state.list_tasks(filters=[("nothing", "=", 1)])
    with pytest.raises(ValueError, match="Unsupported filter predicate >"):
        state.list_tasks(filters=[("name", ">", 1)])
    with pytest.raises(ValueError):
        state.list_tasks(filters=("name", "=", "x"))


def test_limits_and_details() -> None:
    ray.get([plus.remote(1) for _ in range(3)])
    assert len(state.list_tasks(limit=2)) == 2
    assert state.list_tasks(limit=0) == []
    assert state.list_tasks(limit=1)[0].start_time_ms is None
    with pytest.raises(RayStateApiException, match="exceeds the supported limit"):
        state.list_tasks(limit=1_000_000)
    found = state.StateApiClient().list(StateResource.TASKS, ListApiOptions(limit=1), True)
    assert len(found) == 1


def test_summaries() -> None:
    ray.get([plus.options(name="summed").remote(1) for _ in range(2)])
    summary = state.summarize_tasks()["cluster"]
    assert summary["summary"]["summed"] == {
        "func_or_class_name": "summed", "type": "NORMAL_TASK", "state_counts": {"FINISHED": 2},
    }  # fmt: skip
    assert summary["total_tasks"] >= 2
    one = Store.remote()
    ray.get(one.add.remote(1))
    actors = state.summarize_actors()["cluster"]
    (name,) = [name for name in actors["summary"] if name.endswith("Store")]
    assert actors["summary"][name]["state_counts"]["ALIVE"] >= 1
    ref = ray.put(1)
    objects = state.summarize_objects()["cluster"]
    assert objects["total_objects"] >= 1
    assert objects["callsite_enabled"] is False
    del ref


def test_the_runtime_context_says_what_runs() -> None:
    @ray.remote
    def told():
        context = ray.get_runtime_context()
        return (
            context.get_task_name(), context.get_task_function_name(), context.is_canceled(),
            context.get_job_id(), context.get_placement_group_id(),
            context.get_runtime_env_string(), context.should_capture_child_tasks_in_placement_group,
        )  # fmt: skip

    name, function, cancelled, job, group, env, captures = ray.get(told.options(name="n").remote())
    assert name == "n"
    assert function.endswith("told")
    assert function.startswith(__name__.rpartition(".")[2]) or "test_state" in function
    assert (cancelled, group, captures, env) == (False, None, False, "{}")
    assert job == ray.get_runtime_context().get_job_id()
    one = Store.remote()
    call = ray.get(one.context.remote())
    assert call[0] == "Store.context"
    assert call[1].endswith("test_state.Store.context")
    assert call[2] == one._actor_id.hex()
    assert call[3] is False


def test_the_runtime_context_of_a_driver_says_what_it_is_not() -> None:
    context = ray.get_runtime_context()
    assert isinstance(context, ray.runtime_context.RuntimeContext)
    assert (context.get_task_function_name(), context.get_actor_name()) == (None, None)
    assert context.get_accelerator_ids()["GPU"] == []
    assert context.get_node_labels()["ray.io/node-id"] == context.get_node_id()
    assert context.get_job_id() == context.job_id.hex()
    with pytest.raises(AssertionError, match=r"only available when the process is a\s+worker"):
        context.get_assigned_resources()
    with pytest.raises(RuntimeError, match=r"only available when the process is a\s+worker"):
        context.is_canceled()
    with pytest.raises(RuntimeError, match="only available in an actor"):
        _ = context.current_actor
    assert set(context.get()) == {"job_id", "node_id", "namespace"}


def test_nodes_say_what_programs_read() -> None:
    (node,) = ray.nodes()
    assert set(node) >= {
        "NodeID", "Alive", "NodeManagerAddress", "NodeManagerHostname", "NodeManagerPort",
        "ObjectManagerPort", "ObjectStoreSocketName", "RayletSocketName", "MetricsExportPort",
        "NodeName", "alive", "Resources", "Labels", "DeathReason", "DeathReasonMessage",
    }  # fmt: skip
    address = node["NodeManagerAddress"]
    has = ray.cluster_resources()
    assert has["node:__internal_head__"] == has[f"node:{address}"] == 1.0
    assert {"memory", "object_store_memory"} <= set(has) & set(ray.available_resources())


@pytest.mark.concurrent
def test_the_timeline_is_a_list_of_events() -> None:
    ray.get(plus.remote(1))
    deadline = time.monotonic() + 60
    while not ray.timeline() and time.monotonic() < deadline:
        time.sleep(0.1)
    events = [one for one in ray.timeline() if one["ph"] == "X"]
    assert events
    assert {"name", "cat", "pid", "tid", "ts", "dur"} <= set(events[0])


def test_placement_groups_are_listed():
    placing = load("util.placement_group")
    group = placing.placement_group([{"CPU": 1}], name="listed")
    assert group.wait(30)
    strategy = load("util.scheduling_strategies").PlacementGroupSchedulingStrategy(group)
    ray.get(plus.options(name="inside", scheduling_strategy=strategy).remote(1), timeout=30)
    (one,) = state.list_placement_groups(filters=[("name", "=", "listed")], detail=True)
    assert one.placement_group_id == group.id.hex()
    assert (one.state, one.is_detached) == ("CREATED", False)
    assert one.creator_job_id == ray.get_runtime_context().get_job_id()
    (bundle,) = one.bundles
    assert bundle["unit_resources"] == {"CPU": 1.0}
    assert bundle["node_id"] == ray.get_runtime_context().get_node_id()
    assert bundle["bundle_id"]["placement_group_id"] == group.id.hex()
    assert one.stats["scheduling_state"] == "FINISHED"
    assert state.get_placement_group(group.id.hex()).name == "listed"
    (task,) = state.list_tasks(filters=[("name", "=", "inside")], detail=True)
    if task.required_resources != {"CPU": 1.0}:  # where one process is all, nothing is renamed
        assert task.placement_group_id == group.id.hex()
    placing.remove_placement_group(group)
