"""Placement groups: made, waited for, worked in, found, removed; and what is refused."""

from __future__ import annotations

import pickle
import time

import pytest
from api import load, ray

placing = load("util.placement_group")
PlacementGroup = placing.PlacementGroup
get_current_placement_group = placing.get_current_placement_group
get_placement_group = placing.get_placement_group
placement_group = placing.placement_group
placement_group_table = placing.placement_group_table
remove_placement_group = placing.remove_placement_group
PlacementGroupSchedulingStrategy = load(
    "util.scheduling_strategies"
).PlacementGroupSchedulingStrategy


@ray.remote
def told():
    """Where it runs: the group's id and what it holds."""
    context = ray.get_runtime_context()
    return context.get_placement_group_id(), context.get_assigned_resources()


@ray.remote
def outer():
    return ray.get(told.options(num_cpus=0).remote())


@ray.remote
class Member:
    def told(self):
        context = ray.get_runtime_context()
        return context.get_placement_group_id(), context.get_assigned_resources()


@pytest.fixture
def group():
    made = placement_group([{"CPU": 1}, {"CPU": 1}])
    assert made.wait(30)
    yield made
    remove_placement_group(made)


def within(group, index=-1, **more):
    return PlacementGroupSchedulingStrategy(group, index, **more)


def test_a_group_is_ready_and_says_what_it_is(group):
    assert ray.get(group.ready(), timeout=30) == group
    assert group.bundle_specs == [{"CPU": 1.0}, {"CPU": 1.0}]
    assert group.bundle_count == 2
    row = placement_group_table(group)
    assert row["state"] == "CREATED"
    assert row["strategy"] == "PACK"
    assert row["bundles"] == {0: {"CPU": 1.0}, 1: {"CPU": 1.0}}
    assert set(row["bundles_to_node_id"].values()) == {ray.nodes()[0]["NodeID"]}
    assert group.id.hex() in placement_group_table()


def test_handles_are_equal_hashed_and_pickled(group):
    other = pickle.loads(pickle.dumps(group))
    assert other == group
    assert hash(other) == hash(group)
    assert other.bundle_specs == group.bundle_specs
    assert other != placement_group
    assert PlacementGroup.empty().id.is_nil()


def test_its_resources_are_taken_and_come_back(until):
    until(lambda: ray.available_resources().get("CPU", 0) == 4)
    made = placement_group([{"CPU": 2, "special": 1}])
    assert made.wait(30)
    until(lambda: ray.available_resources().get("CPU", 0) == 2)
    until(lambda: ray.available_resources().get("special", 0) == 1)
    remove_placement_group(made)
    until(lambda: ray.available_resources().get("CPU", 0) == 4)
    until(lambda: ray.available_resources().get("special", 0) == 2)


def test_tasks_and_actors_run_in_it(group):
    mine = group.id.hex()
    for index in (-1, 0, 1):
        ref = told.options(scheduling_strategy=within(group, index)).remote()
        assert ray.get(ref, timeout=30) == (mine, {"CPU": 1.0})
    member = Member.options(num_cpus=1, scheduling_strategy=within(group, 1)).remote()
    assert ray.get(member.told.remote(), timeout=30) == (mine, {"CPU": 1.0})
    assert ray.get(told.remote(), timeout=30) == (None, {"CPU": 1.0})
    assert get_current_placement_group() is None


def test_children_are_captured_where_that_is_said(group):
    mine = group.id.hex()
    plain = outer.options(scheduling_strategy=within(group, 0)).remote()
    assert ray.get(plain, timeout=30)[0] is None
    captured = within(group, 0, placement_group_capture_child_tasks=True)
    assert ray.get(outer.options(scheduling_strategy=captured).remote(), timeout=30)[0] == mine


def test_the_old_options(group):
    ref = told.options(placement_group=group, placement_group_bundle_index=1).remote()
    assert ray.get(ref, timeout=30)[0] == group.id.hex()
    assert ray.get(told.options(placement_group=None).remote(), timeout=30)[0] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"index": 2}, "bundle index 2 is invalid"),
        ({"index": -2}, "bundle index -2 is invalid"),
        ({"num_cpus": 3}, "cannot fit into any bundles"),
        ({"resources": {"special": 1}}, "cannot fit into any bundles"),
    ],
    ids=str,
)
def test_what_no_bundle_has_is_refused(group, options, words):
    options = dict(options)
    strategy = within(group, options.pop("index", -1))
    with pytest.raises(ValueError, match=words):
        told.options(scheduling_strategy=strategy, **options).remote()


def test_other_words_for_the_place_are_refused(group):
    with pytest.raises(ValueError, match="Invalid scheduling_strategy value"):
        told.options(scheduling_strategy="SOMEWHERE").remote()
    with pytest.raises(TypeError, match="scheduling_strategy"):
        told.options(scheduling_strategy=3).remote()
    with pytest.raises(ValueError, match="placement_group option is deprecated"):
        told.options(placement_group=group, scheduling_strategy="SPREAD").remote()
    with pytest.raises(ValueError, match="bundle index must be -1"):
        told.options(placement_group_bundle_index=1).remote()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([],), "non-empty list"),
        (([{}],), "cannot be an empty dictionary"),
        (([{"CPU": 0}],), "only 0 values"),
        ((["CPU"],), "non-empty list of resource dictionaries"),
        (({"CPU": 1},), "must be a list"),
        (([{"CPU": 1}], "TIGHT"), "Invalid placement group strategy TIGHT"),
        (([{"CPU": 1}], "PACK", "", "forever"), "lifetime"),
    ],
    ids=str,
)
def test_what_is_no_group_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        placement_group(*arguments)


def test_a_name_is_text():
    with pytest.raises((TypeError, AttributeError)):
        placement_group([{"CPU": 1}], name=3)


def test_names():
    made = placement_group([{"CPU": 1}], name="by name")
    assert made.wait(30)
    found = get_placement_group("by name")
    assert found == made
    assert found.bundle_specs == [{"CPU": 1.0}]
    with pytest.raises(ray.exceptions.RaySystemError, match="already exists"):
        placement_group([{"CPU": 1}], name="by name")
    remove_placement_group(made)
    with pytest.raises(ValueError, match="Failed to look up placement group with name: by name"):
        get_placement_group("by name")
    with pytest.raises(ValueError, match="non-empty"):
        get_placement_group("")


def test_what_has_no_room_waits():
    made = placement_group([{"CPU": 40}])
    ready = made.ready()
    assert made.wait(0.1) is False
    assert placement_group_table(made)["state"] == "PENDING"
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ready, timeout=0.1)
    remove_placement_group(made)
    with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
        ray.get(ready, timeout=30)


def test_a_removed_group_ends_its_actors_and_is_not_waited_for(until):
    made = placement_group([{"CPU": 1}])
    member = Member.options(num_cpus=1, scheduling_strategy=within(made)).remote()
    ray.get(member.told.remote(), timeout=30)
    remove_placement_group(made)
    with pytest.raises(ray.exceptions.ActorDiedError):
        while True:
            ray.get(member.told.remote(), timeout=30)
    until(lambda: placement_group_table(made)["state"] == "REMOVED")
    with pytest.raises(Exception, match="does not exist"):
        made.wait(1)
    remove_placement_group(made)


def test_a_removed_group_is_over_at_once_and_for_every_shape_of_work():
    made = placement_group([{"CPU": 1}])
    assert made.wait(30)
    remove_placement_group(made)
    remove_placement_group(made)
    with pytest.raises(Exception, match="does not exist"):
        made.wait(1)
    refs = [made.ready(), *(
        told.options(num_cpus=cpus, scheduling_strategy=within(made, index)).remote()
        for cpus in (0, 1) for index in (-1, 0)
    )]  # fmt: skip
    for ref in refs:
        with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
            ray.get(ref, timeout=30)
    member = Member.options(scheduling_strategy=within(made)).remote()
    with pytest.raises(ray.exceptions.ActorUnschedulableError, match="group was removed"):
        ray.get(member.told.remote(), timeout=30)


@pytest.mark.own
def test_what_cannot_travel_is_refused_rather_than_waited_for():
    for name in (3, b"x"):
        with pytest.raises(TypeError, match="name must be a str"):
            placement_group([{"CPU": 1}], name=name)
        with pytest.raises(TypeError, match="name must be a str"):
            get_placement_group(name)
    for amount in (-1, 1e30, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="amounts of 0 to"):
            placement_group([{"CPU": amount}])


@pytest.mark.concurrent
def test_a_retried_task_ends_with_its_group(tmp_path, until):
    made = placement_group([{"CPU": 1}])

    @ray.remote(max_retries=3)
    def long():
        (tmp_path / "began").touch()
        time.sleep(60)

    strategy = within(made, 0)
    running = long.options(scheduling_strategy=strategy).remote()
    until((tmp_path / "began").exists)
    queued = told.options(scheduling_strategy=strategy).remote()
    kept = Member.options(num_cpus=1, max_restarts=-1, scheduling_strategy=strategy).remote()
    remove_placement_group(made)
    for ref in (running, queued):
        with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
            ray.get(ref, timeout=30)
    with pytest.raises(ray.exceptions.ActorUnschedulableError):
        ray.get(kept.told.remote(), timeout=30)
    until(lambda: ray.available_resources().get("CPU", 0) == 4)


@pytest.mark.concurrent
def test_a_removed_group_ends_what_runs_in_it(tmp_path, until):
    made = placement_group([{"CPU": 1}])

    @ray.remote(max_retries=0)
    def long():
        (tmp_path / "began").touch()
        time.sleep(60)

    running = long.options(scheduling_strategy=within(made, 0)).remote()
    until((tmp_path / "began").exists)
    remove_placement_group(made)
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(running, timeout=30)


@pytest.mark.concurrent
def test_a_group_waits_for_its_turn():
    first = placement_group([{"CPU": 3}])
    assert first.wait(30)
    second = placement_group([{"CPU": 2}])
    ref = told.options(scheduling_strategy=within(second)).remote()
    assert second.wait(0.1) is False
    remove_placement_group(first)
    assert second.wait(30)
    assert ray.get(ref, timeout=30)[0] == second.id.hex()
    remove_placement_group(second)


@pytest.mark.concurrent
def test_a_group_is_placed_when_the_tasks_have_ended():
    @ray.remote(num_cpus=4)
    def all_of_it():
        time.sleep(0.3)

    ref = all_of_it.remote()
    time.sleep(0.1)
    made = placement_group([{"CPU": 4}])
    assert made.wait(30)
    ray.get(ref, timeout=30)
    remove_placement_group(made)


@pytest.mark.concurrent
def test_no_more_run_in_a_bundle_than_it_has():
    made = placement_group([{"CPU": 2}])

    @ray.remote
    def span():
        began = time.time()
        time.sleep(0.1)
        return began, time.time()

    spans = ray.get([span.options(scheduling_strategy=within(made)).remote() for _ in range(4)])
    for start, _ in spans:
        assert sum(begin <= start < end for begin, end in spans) <= 2
    remove_placement_group(made)


def test_it_is_called_as_a_function_of_util():
    made = ray.util.placement_group([{"CPU": 1}], strategy="STRICT_PACK")
    assert made.wait(30)
    ray.util.remove_placement_group(made)
    assert ray.util.get_current_placement_group() is None
    assert isinstance(ray.util.placement_group_table(), dict)


def test_arguments_and_indices_are_checked():
    module = load("util.placement_group")
    module.validate_placement_group([{"CPU": 1}], "PACK")
    with pytest.raises(ValueError, match="strategy"):
        module.validate_placement_group([{"CPU": 1}], "PILE")
    with pytest.raises(ValueError, match="[Bb]undles"):
        module.validate_placement_group([])
    empty = module.PlacementGroup.empty()
    module.check_placement_group_index(empty, -1)
    with pytest.raises(ValueError, match="bundle index"):
        module.check_placement_group_index(empty, 0)
    group = module.placement_group([{"CPU": 1}])
    module.check_placement_group_index(group, 0)
    with pytest.raises(ValueError, match="bundle index 1"):
        module.check_placement_group_index(group, 1)
    module.remove_placement_group(group)
