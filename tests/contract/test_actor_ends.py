"""How actors end, fail and come back."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest
from api import ray
from harness import eventually


def test_a_killed_actor(Counter):
    counter = Counter.remote()
    ray.get(counter.read.remote())
    ray.kill(counter)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(counter.read.remote(), timeout=60)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(counter.read.remote(), timeout=60)


def test_killing_twice_is_harmless(Counter):
    counter = Counter.remote()
    ray.kill(counter)
    ray.kill(counter)


def test_kill_of_something_else_is_refused():
    with pytest.raises(ValueError, match="cancel"):
        ray.kill(ray.put(1))


def test_an_actor_can_end_itself():
    @ray.remote
    class Leaver:
        def leave(self):
            ray.actor.exit_actor()

        def stay(self):
            return 1

    leaver = Leaver.remote()
    assert ray.get(leaver.stay.remote()) == 1
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(leaver.leave.remote(), timeout=60)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(leaver.stay.remote(), timeout=60)


@pytest.mark.concurrent
@pytest.mark.parametrize("kind", ["async", "threads"])
def test_what_runs_beside_exit_actor_runs_to_its_end(kind, tmp_path):
    class Threads:
        def may_go(self):
            (tmp_path / "begun").touch()
            return (tmp_path / "go").exists()

        def wait(self):
            while not self.may_go():
                time.sleep(0.02)
            return "waited"

        def leave(self):
            ray.actor.exit_actor()

        def stay(self):
            return 1

    class Async(Threads):
        async def wait(self):
            while not self.may_go():  # noqa: ASYNC110 - another process says so
                await asyncio.sleep(0.02)
            return "waited"

    actor = ray.remote(num_cpus=0)(Async if kind == "async" else Threads)
    leaver = actor.options(max_concurrency=3).remote()
    waits = leaver.wait.remote()
    assert eventually(lambda: (tmp_path / "begun").exists() or ray.wait([waits], timeout=0)[0])
    leaves = leaver.leave.remote()
    assert ray.wait([waits, leaves], timeout=0.3)[0] == []
    later = leaver.stay.remote()
    (tmp_path / "go").touch()
    assert ray.get(waits, timeout=60) == "waited"
    for ref in (leaves, later, leaver.stay.remote()):
        with pytest.raises(ray.exceptions.ActorDiedError):
            ray.get(ref, timeout=60)


def test_exit_actor_outside_an_actor():
    with pytest.raises(TypeError, match="actor"):
        ray.actor.exit_actor()


def test_an_error_in_init():
    @ray.remote
    class Broken:
        def __init__(self):
            raise ValueError("no such file: model.bin")

        def use(self):
            return 1

    broken = Broken.remote()
    with pytest.raises(ray.exceptions.RayActorError, match=r"no such file: model\.bin"):
        ray.get(broken.use.remote(), timeout=60)


def test_a_failed_argument_of_init(Counter):
    @ray.remote
    def fail():
        raise KeyError("upstream")

    counter = Counter.remote(fail.remote())
    with pytest.raises(ray.exceptions.RayError, match="upstream"):
        ray.get(counter.read.remote(), timeout=60)


def test_an_error_in_a_method_does_not_end_the_actor():
    @ray.remote
    class Careful:
        def divide(self, a, b):
            return a / b

    careful = Careful.remote()
    with pytest.raises(ZeroDivisionError):
        ray.get(careful.divide.remote(1, 0))
    assert ray.get(careful.divide.remote(6, 2)) == 3


def test_an_actor_killed_with_restarts_comes_back(Counter, until):
    counter = Counter.options(max_restarts=1).remote(5)
    assert ray.get(counter.add.remote()) == 6
    ray.kill(counter, no_restart=False)

    def is_fresh():
        # Calls may still reach the old process, or find none.
        try:
            return ray.get(counter.read.remote(), timeout=60) == 5
        except ray.exceptions.RayActorError:
            return False

    until(is_fresh)


@pytest.mark.concurrent
def test_an_actor_whose_process_ends(Counter):
    @ray.remote
    class Fragile:
        def end(self):
            os._exit(7)

        def read(self):
            return 1

    fragile = Fragile.remote()
    assert ray.get(fragile.read.remote()) == 1
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(fragile.end.remote(), timeout=60)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(fragile.read.remote(), timeout=60)


@pytest.mark.concurrent
def test_an_actor_restarts_after_its_process_has_ended():
    @ray.remote(max_restarts=1, max_task_retries=-1)
    class Fragile:
        def __init__(self):
            self.n = 0

        def pid(self):
            return os.getpid()

        def again(self):
            return ray.get_runtime_context().was_current_actor_reconstructed

        def end(self):
            if not self.again():
                os._exit(7)

    fragile = Fragile.remote()
    before = ray.get(fragile.pid.remote())
    fragile.end.remote()
    assert ray.get(fragile.again.remote(), timeout=60) is True
    assert ray.get(fragile.pid.remote(), timeout=60) != before


@pytest.mark.concurrent
@pytest.mark.parametrize("retries", [0, 1])
def test_calls_while_an_actor_is_made_again(tmp_path, until, retries):
    @ray.remote(num_cpus=0, max_restarts=1, max_task_retries=retries)
    class Slow:
        def __init__(self):
            while (tmp_path / "hold").exists() and not (tmp_path / "go").exists():
                time.sleep(0.01)

        def pid(self):
            return os.getpid()

    slow = Slow.options(name=f"slow{retries}").remote()
    pid = ray.get(slow.pid.remote())
    (tmp_path / "hold").touch()
    os.kill(pid, signal.SIGKILL)
    if retries:
        ref = slow.pid.remote()
        assert ray.wait([ref], timeout=0.2)[0] == []
        (tmp_path / "go").touch()
        assert ray.get(ref, timeout=60) != pid
        return
    for handle in (slow, slow, ray.get_actor("slow0")):
        with pytest.raises(ray.exceptions.ActorUnavailableError):
            ray.get(handle.pid.remote(), timeout=60)
    (tmp_path / "go").touch()

    def again():
        try:
            return ray.get(slow.pid.remote(), timeout=60) != pid
        except ray.exceptions.ActorUnavailableError:
            return False

    until(again)


@pytest.mark.concurrent
def test_threads_of_an_actor_overlap():
    @ray.remote(max_concurrency=2)
    class Pair:
        def __init__(self):
            import threading

            self.both = threading.Barrier(2)

        def meet(self):
            self.both.wait(timeout=60)
            return True

    pair = Pair.remote()
    assert ray.get([pair.meet.remote(), pair.meet.remote()], timeout=60) == [True, True]


@pytest.mark.concurrent
def test_calls_of_a_busy_actor_wait_for_their_turn(Counter):
    @ray.remote
    class Slow:
        def __init__(self):
            self.log = []

        def work(self, name):
            self.log.append(f"{name} in")
            time.sleep(0.2)
            self.log.append(f"{name} out")

        def read(self):
            return self.log

    slow = Slow.remote()
    slow.work.remote("a")
    slow.work.remote("b")
    assert ray.get(slow.read.remote()) == ["a in", "a out", "b in", "b out"]


@pytest.mark.concurrent
def test_max_pending_calls():
    @ray.remote(max_pending_calls=2)
    class Busy:
        def work(self):
            time.sleep(0.3)

    busy = Busy.remote()
    refs = [busy.work.remote() for _ in range(2)]
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded):
        busy.work.remote()
    ray.get(refs)


@pytest.mark.concurrent
def test_an_actor_lives_in_a_process_of_its_own(Counter):
    @ray.remote
    class Where:
        def pid(self):
            return os.getpid()

    a, b = Where.remote(), Where.remote()
    pids = ray.get([a.pid.remote(), a.pid.remote(), b.pid.remote()])
    assert pids[0] == pids[1] != pids[2]
    assert os.getpid() not in pids


@pytest.mark.concurrent
def test_kill_ends_unfinished_calls():
    @ray.remote
    class Slow:
        def sleep(self):
            time.sleep(600)

        def ready(self):
            return True

    slow = Slow.remote()
    ray.get(slow.ready.remote())
    ref = slow.sleep.remote()
    ray.kill(slow)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(ref, timeout=60)


@pytest.mark.concurrent
def test_an_actor_that_nobody_has_any_more_is_deleted(tmp_path, until):
    @ray.remote(max_restarts=2)
    class Leaver:
        def __init__(self, file):
            self.file = file

        def __del__(self):
            self.file.touch()

    leaver = Leaver.remote(tmp_path / "deleted")
    ray.get(leaver.__ray_ready__.remote())
    del leaver
    until(lambda: (tmp_path / "deleted").exists())
