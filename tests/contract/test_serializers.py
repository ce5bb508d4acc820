"""Users' serializers, cloudpickle by users' hand, and the report on what cannot be pickled."""

from __future__ import annotations

import io
import threading

import pytest
from api import ray


class Locked:
    def __init__(self, number):
        self.number = number
        self.lock = threading.Lock()


@pytest.fixture
def registered():
    ray.util.register_serializer(
        Locked, serializer=lambda one: one.number, deserializer=lambda number: Locked(number + 1)
    )
    yield
    ray.util.deregister_serializer(Locked)


@pytest.mark.usefixtures("registered")
def test_a_registered_class_travels():
    @ray.remote
    def number(one):
        return one.number

    assert ray.get(ray.put(Locked(1))).number == 2
    assert ray.get(ray.put([Locked(1)]))[0].number == 2
    assert ray.get(number.remote(Locked(5))) == 6


@pytest.mark.usefixtures("registered")
def test_a_registered_class_in_a_closure():
    locked = Locked(5)

    @ray.remote
    def number():
        return locked.number

    assert ray.get(number.remote()) == 6


@pytest.mark.usefixtures("registered")
def test_a_class_is_itself_again_without_its_serializer():
    ray.util.deregister_serializer(Locked)
    ray.util.deregister_serializer(Locked)
    with pytest.raises(TypeError):
        ray.put(Locked(1))


def test_a_serializer_is_given_by_keyword():
    with pytest.raises(TypeError):
        ray.util.register_serializer(Locked, lambda one: 1, lambda one: 2)


def test_cloudpickle_takes_lambdas_references_and_handles():
    @ray.remote(num_cpus=0)
    class Actor:
        def one(self):
            return 1

    ref, actor = ray.put(7), Actor.remote()
    back = ray.cloudpickle.loads(ray.cloudpickle.dumps((lambda: 3, ref, actor)))
    assert back[0]() == 3
    assert back[1] == ref
    assert ray.get(back[1]) == 7
    assert ray.get(back[2].one.remote()) == 1


def test_what_can_be_pickled():
    report = io.StringIO()
    assert ray.util.inspect_serializability([1], print_file=report) == (True, set())
    assert "Checking Serializability of [1]" in report.getvalue()


def test_what_cannot_be_pickled_is_found():
    lock = threading.Lock()

    def task():
        return lock

    report = io.StringIO()
    able, (failure,) = ray.util.inspect_serializability(task, name="test", print_file=report)
    assert not able
    assert failure.obj is lock
    assert failure.parent is task
    assert failure.path[-1] == "lock"
    assert "FailTuple(lock [" in report.getvalue()
