"""Default actors beside CPUs that are all busy, and for long."""

from __future__ import annotations

import time

import pytest
from api import ray

pytestmark = pytest.mark.concurrent


@ray.remote
class Answers:
    def one(self):
        return 1

    def child(self):
        return ray.get(Answers.remote().one.remote())


@ray.remote
class Coroutines:
    async def one(self):
        return 1


@ray.remote(max_concurrency=3)
class Threads:
    def one(self):
        return 1


@pytest.fixture
def busy(tmp_path, until):
    """All four CPUs are busy, and eight tasks wait for them; nothing of them blocks in `get`."""
    opened = tmp_path / "opened"

    @ray.remote
    def works(number):
        (opened.parent / f"at-{number}").touch()
        while not opened.exists():
            time.sleep(0.01)

    refs = [works.remote(number) for number in range(12)]
    until(lambda: len(list(tmp_path.glob("at-*"))) == 4)
    yield opened
    opened.touch()
    ray.get(refs, timeout=60)


MANY = {
    "one": lambda: [Answers.remote()],
    "twelve": lambda: [Answers.remote() for _ in range(12)],
    "async": lambda: [Coroutines.remote()],
    "threads": lambda: [Threads.remote()],
    "named": lambda: [Answers.options(name="beside").remote()],
    "no CPUs said": lambda: [Answers.options(num_cpus=0).remote()],
}


@pytest.mark.parametrize("kind", MANY)
def test_a_default_actor_answers_beside_busy_cpus(busy, kind):
    actors = MANY[kind]()
    assert ray.get([actor.one.remote() for actor in actors], timeout=60) == [1] * len(actors)
    assert not busy.exists()


def test_one_that_an_actor_makes_answers_too(busy):
    assert ray.get(Answers.remote().child.remote(), timeout=60) == 1


def test_an_actor_that_asks_for_a_cpu_waits_for_it(busy):
    actor = Answers.options(num_cpus=1).remote()
    ref = actor.one.remote()
    assert ray.get(Answers.remote().one.remote(), timeout=60) == 1
    assert ray.wait([ref], timeout=0.2)[0] == []
    busy.touch()
    assert ray.get(ref, timeout=60) == 1
