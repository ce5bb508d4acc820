"""Ids: Ray's classes of them, and what references say of themselves."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from api import ray

SIZES = {
    "ActorID": 16, "TaskID": 24, "JobID": 4, "NodeID": 28, "WorkerID": 28, "UniqueID": 28,
    "PlacementGroupID": 18, "ActorClassID": 28, "FunctionID": 28,
}  # fmt: skip


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_an_id_is_its_class_and_bytes(name, size):
    kind = getattr(ray, name)
    one, same, other = kind(b"\1" * size), kind(b"\1" * size), kind(b"\2" * size)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one.binary() == b"\1" * size
    assert one.hex() == "01" * size
    if name != "UniqueID":  # which Ray makes of bytes alone
        assert kind.from_hex(one.hex()) == one
    assert repr(one) == f"{name}({one.hex()})"
    assert kind.size() == size
    assert not one.is_nil()
    assert kind.nil().is_nil()
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(ValueError, match="length"):
        kind(b"xx")
    with pytest.raises(TypeError):
        kind("01")


def test_ids_of_different_classes_differ():
    assert ray.NodeID(b"\1" * 28) != ray.WorkerID(b"\1" * 28)
    assert ray.JobID.from_int(3).int() == 3
    assert ray.TaskID(b"\1" * 24).actor_id() == ray.ActorID(b"\1" * 16)
    assert ray.NodeID.from_random() != ray.NodeID.from_random()


def test_the_task_and_the_job_of_a_reference():
    @ray.remote
    def task():
        return ray.get_runtime_context().get_task_id()

    ref = task.remote()
    assert ray.get(ref) == ref.task_id().hex()
    assert ref.job_id().hex() == ray.get_runtime_context().get_job_id()
    assert ref.binary().hex() == ref.hex()
    assert not ref.is_nil()


@pytest.mark.concurrent
def test_ids_are_as_long_as_rays():
    @ray.remote(num_cpus=0)
    class Actor:
        def ids(self):
            here = ray.get_runtime_context()
            return here.get_job_id(), here.get_task_id(), here.get_worker_id(), here.get_node_id()

    actor = Actor.remote()
    call = actor.ids.remote()
    job, task, worker, node = ray.get(call)
    assert [len(one) for one in (job, task, worker, node)] == [8, 48, 56, 56]
    assert job == ray.get_runtime_context().get_job_id()
    assert task == call.task_id().hex() == call.hex()[:48]
    assert len(actor._actor_id.hex()) == 32
    assert len(ray.put(1).hex()) == 56
    assert ray.ObjectRef.nil().hex() == "f" * 56
    assert ray.NodeID.from_hex(node).hex() == ray.nodes()[0]["NodeID"]


def test_a_reference_by_its_older_name():
    assert ray.ObjectID is ray.ObjectRef


def test_references_are_awaited_as_futures():
    @ray.remote
    def one():
        return 1

    async def several():
        ready, _ = await asyncio.wait([one.remote().as_future()])
        return await asyncio.gather(one.remote(), one.remote()), ready.pop().result()

    assert asyncio.run(several()) == ([1, 1], 1)


@pytest.mark.concurrent
def test_an_actor_knows_the_id_of_its_handle():
    @ray.remote(num_cpus=0)
    class Actor:
        def who(self):
            return ray.get_runtime_context().get_actor_id()

    actor = Actor.remote()
    assert ray.get(actor.who.remote()) == actor._actor_id.hex()


@pytest.mark.own
def test_a_reference_comes_back_from_its_id():
    @ray.remote
    def read(name):
        return ray.get(ray.ObjectRef.from_hex(name))

    ref = ray.put("kept")
    again = ray.ObjectRef.from_binary(ref.binary())
    assert again == ref
    assert hash(again) == hash(ref)
    assert ray.get(read.remote(ref.hex())) == "kept"
    del ref
    assert ray.get(again) == "kept"  # it counts as any other
    assert again.owner_address()
    assert again.call_site() == ""
    assert again.tensor_transport() is None
    with pytest.raises(ValueError, match="length"):
        ray.ObjectRef.from_binary(b"short")
    with pytest.raises(TypeError):
        ray.ObjectRef.from_binary(5)


def test_references_to_nothing():
    nil = ray.ObjectRef.nil()
    assert nil.is_nil()
    assert nil == ray.ObjectRef.nil()
    assert len(nil.binary()) == ray.ObjectRef.size()
    drawn = ray.ObjectRef.from_random()
    assert not drawn.is_nil()
    assert drawn != ray.ObjectRef.from_random()


def test_in_no_placement_group():
    def where():
        return ray.get_runtime_context().current_placement_group_id.is_nil()

    assert where()
    assert ray.get(ray.remote(where).remote(), timeout=60)


def test_ids_of_ids():
    job = ray.JobID.from_int(7)
    actor = ray.ActorID.of(job, ray.TaskID.nil(), 1)
    assert (actor.job_id, len(actor.binary())) == (job, 16)
    assert actor != ray.ActorID.of(job, ray.TaskID.nil(), 2)
    assert ray.TaskID.for_fake_task(job).job_id() == job
    assert ray.ActorID.from_binary(actor.binary()) == actor
    assert len(ray.PlacementGroupID.of(job).hex()) == 36


def test_languages_are_three():
    kinds = [ray.Language.PYTHON, ray.Language.JAVA, ray.Language.CPP]
    assert [repr(kind) for kind in kinds] == ["PYTHON", "JAVA", "CPP"]
    assert [ray.Language(number) for number in range(3)] == kinds
    assert ray.Language.PYTHON != ray.Language.CPP
