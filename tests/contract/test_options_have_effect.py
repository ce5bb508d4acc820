"""Every option that is accepted has an effect; the rest is refused with a sentence."""

from __future__ import annotations

import time

import pytest
from api import ray

from nbray import arguments, options, session, where
from nbray.util.queue import Queue


@pytest.mark.own
def test_the_table_of_options_is_the_page_of_faults():
    """An option that is added is looked at here, and said there."""
    assert set(options._TASK) == {
        "num_cpus", "num_gpus", "memory", "resources", "name", "node", "num_returns",
        "max_retries", "retry_exceptions", "max_calls", "runtime_env",
        "_generator_backpressure_num_objects", "accelerator_type", "enable_task_events",
        "object_store_memory",  # only to be refused as Ray does
    }  # fmt: skip
    assert set(options._ACTOR) == {
        "num_cpus", "num_gpus", "memory", "resources", "name", "node", "namespace",
        "get_if_exists", "lifetime", "max_restarts", "max_task_retries", "max_concurrency",
        "max_pending_calls", "runtime_env", "concurrency_groups",
        "allow_out_of_order_execution", "accelerator_type", "object_store_memory",
        "_actor_generator_backpressure_num_objects", "enable_task_events",
    }  # fmt: skip
    assert {  # see test_strategies and test_placement_groups
        "scheduling_strategy", "label_selector", "placement_group",
        "placement_group_bundle_index", "placement_group_capture_child_tasks", "fallback_strategy",
    } == where.PLACING  # fmt: skip
    assert set(options._METHOD) == {
        "num_returns", "max_task_retries", "retry_exceptions", "name", "concurrency_group",
        "_generator_backpressure_num_objects", "enable_task_events",
    }  # fmt: skip


@pytest.mark.own
@pytest.mark.parametrize(
    "given",
    [
        {"max_retires": 1}, {"_metadata": {}},
    ],
    ids=lambda given: next(iter(given)),
)  # fmt: skip
def test_other_options_are_refused_and_named(given):
    def f(): ...

    class A: ...

    (name,) = given
    for thing in (f, A):
        with pytest.raises(ValueError, match=f"unknown option '{name}'"):
            ray.remote(**given)(thing)
        with pytest.raises(ValueError, match=f"unknown option '{name}'"):
            ray.remote(thing).options(**given)
    with pytest.raises(ValueError, match=f"unknown option '{name}'"):
        ray.method(**given)


@pytest.mark.own
@pytest.mark.concurrent
def test_the_name_of_a_call_is_what_screens_show(until):
    @ray.remote(num_cpus=0)
    class A:
        @ray.method(name="decorated")
        def one(self):
            return 1

        def two(self):
            return 2

    actor = A.remote()
    assert ray.get([actor.one.remote(), actor.two.options(name="optional").remote()]) == [1, 2]
    assert ray.get(actor.two.remote()) == 2

    def shown():
        return {task.name for task in session.current().insight.details(1).tasks}

    until(lambda: {"decorated", "optional", "A.two"} <= shown())


@pytest.mark.concurrent
def test_pending_calls_are_limited_for_whoever_has_the_handle():
    @ray.remote(num_cpus=0, max_pending_calls=2, name="limited")
    class Slow:
        def work(self):
            time.sleep(600)

    @ray.remote(num_cpus=0)
    def many(actor):
        try:
            kept = [actor.work.remote() for _ in range(10)]
        except ray.exceptions.PendingCallsLimitExceeded:
            return "refused"
        return len(kept)

    actor = Slow.remote()
    assert ray.get(many.remote(actor), timeout=60) == "refused"
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded, match="2"):
        kept = [ray.get_actor("limited").work.remote() for _ in range(10)]
        assert kept
    ray.kill(actor)


@pytest.mark.own
@pytest.mark.concurrent
@pytest.mark.parametrize("force", [False, True])
def test_a_queue_ends_after_its_calls_or_at_once(force):
    queue = Queue(actor_options={"num_cpus": 0})
    for item in range(5):
        queue.put(item)
    assert queue.qsize() == 5
    queue.shutdown(force=force, grace_period_s=20)
    with pytest.raises(AttributeError):  # it has no actor any more, as in Ray
        queue.qsize()


@pytest.mark.own
def test_arguments_of_init_without_effect_are_said():
    with pytest.warns(UserWarning, match="dashboard_host.*127.0.0.1.*_temp_dir.*NBRAY_RUN_DIR"):
        ray.init(dashboard_host="0.0.0.0", _temp_dir="/tmp/x", ignore_reinit_error=True)
    with pytest.raises(TypeError, match="unknown argument 'dashboard_prot'.*dashboard_port"):
        ray.init(dashboard_prot=1)
    with pytest.raises(ValueError, match="local_mode"):
        ray.init(local_mode=True, engine="native")


@pytest.mark.own
@pytest.mark.filterwarnings("error")
def test_arguments_of_init_about_what_is_not_here_are_not():
    ray.init(
        logging_level=30, configure_logging=True, local_mode=False, dashboard_host=None,
        ignore_reinit_error=True,
    )  # fmt: skip


@pytest.mark.own
def test_every_argument_of_init_is_known_to_do_something_or_to_be_said():
    assert not arguments.OWN & arguments.HARMLESS
