"""Actors and workers that end by themselves, and what came before that is not lost."""

from __future__ import annotations

import gc
import os
import time

import pytest
from api import ray


class Leaver:
    def one(self):
        return 1

    def leave(self):
        ray.actor.exit_actor()


@pytest.mark.concurrent
@pytest.mark.parametrize("how", ["leave", "__ray_terminate__"])
def test_calls_that_ended_before_have_their_results(how):
    actor = ray.remote(num_cpus=0)(Leaver).remote()
    before = [actor.one.remote() for _ in range(3)]
    end = getattr(actor, how).remote()
    assert ray.get(before, timeout=60) == [1, 1, 1]
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(end, timeout=60)


@pytest.mark.concurrent
def test_who_exits_is_not_made_again():
    actor = ray.remote(num_cpus=0, max_restarts=-1)(Leaver).remote()
    for call in (actor.leave, actor.one):
        with pytest.raises(ray.exceptions.ActorDiedError):
            ray.get(call.remote(), timeout=60)


@pytest.mark.concurrent
@pytest.mark.parametrize("how", ["leave", "__ray_terminate__"])
def test_what_an_actor_does_at_its_end(how, tmp_path):
    @ray.remote(num_cpus=0)
    class Tidy(Leaver):
        def __init__(self):
            import atexit

            atexit.register((tmp_path / "atexit").touch)

    actor = Tidy.remote()
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(getattr(actor, how).remote(), timeout=60)
    deadline = time.monotonic() + 60
    while not (tmp_path / "atexit").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "atexit").exists()


@pytest.mark.concurrent
@pytest.mark.parametrize("options", [{}, {"max_restarts": -1}, {"max_concurrency": 2}])
def test_what_an_actor_does_when_nobody_has_it(tmp_path, until, options):
    @ray.remote(num_cpus=0, **options)
    class Tidy:
        def __init__(self):
            import atexit

            atexit.register((tmp_path / "atexit").touch)

        def __ray_shutdown__(self):
            (tmp_path / "shutdown").write_text("after" if (tmp_path / "last").exists() else "")

        def last(self):
            time.sleep(0.1)
            (tmp_path / "last").touch()

    actor = Tidy.remote()
    actor.last.remote()
    del actor
    gc.collect()
    until(lambda: (tmp_path / "shutdown").exists() and (tmp_path / "atexit").exists())
    assert (tmp_path / "shutdown").read_text() == "after", "calls come first"


@pytest.mark.own  # Ray tells a moment later
@pytest.mark.concurrent
@pytest.mark.parametrize("how", ["leave", ""])
def test_what_it_has_run_is_known_when_it_is_gone(until, how):
    from nbray.util import state

    actor = ray.remote(num_cpus=0)(Leaver).options(name=f"gone{how}").remote()
    ref = actor.one.remote()
    assert ray.get(ref) == 1
    if how:
        with pytest.raises(ray.exceptions.ActorDiedError):
            ray.get(actor.leave.remote(), timeout=60)
    del actor
    gc.collect()
    until(lambda: f"gone{how}" not in ray.util.list_named_actors())
    name = ref.task_id().hex()
    until(lambda: [one.state for one in state.list_tasks() if one.task_id == name] == ["FINISHED"])


@pytest.mark.concurrent
def test_who_is_killed_does_nothing_more(tmp_path):
    @ray.remote(num_cpus=0)
    class Tidy:
        def ready(self):
            return True

        def __ray_shutdown__(self):
            (tmp_path / "shutdown").touch()

    actor = Tidy.remote()
    ray.get(actor.ready.remote())
    ray.kill(actor)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(actor.ready.remote(), timeout=60)
    time.sleep(0.1)
    assert not (tmp_path / "shutdown").exists()


@pytest.mark.concurrent
def test_max_calls():
    @ray.remote(max_calls=2)
    def process():
        return os.getpid()

    first, second, third, fourth, fifth = [ray.get(process.remote()) for _ in range(5)]
    assert first == second != third == fourth != fifth


@pytest.mark.concurrent
def test_max_calls_of_tasks_at_once():
    @ray.remote(max_calls=1)
    def process():
        return os.getpid()

    assert len(set(ray.get([process.remote() for _ in range(4)], timeout=60))) == 4


def test_max_calls_is_an_option_of_the_decorator():
    @ray.remote(max_calls=1)
    def process():
        return 1

    with pytest.raises(ValueError, match="max_calls"):
        process.options(max_calls=2)
    with pytest.raises(ValueError, match="max_calls"):
        ray.remote(max_calls=-1)(lambda: 1)
