"""nbray's values, references and calls beside Ray's own, in one cluster."""

from __future__ import annotations

import nbray


def test_rays_code_gets_the_values_that_nbray_put(joined):
    import numpy as np
    import ray

    from nbray.engines.ray.references import theirs

    ref = nbray.put({"a": np.arange(100_000), "b": [1, 2]})
    assert ray.get(theirs(ref))["a"].sum() == 4_999_950_000
    mean = ray.remote(lambda value: float(value["a"].mean()))
    assert ray.get(mean.remote(theirs(ref))) == 49_999.5


def test_nbray_in_a_worker_of_rays_own_task_uses_this_cluster(joined):
    import ray

    def outer():
        @nbray.remote(num_cpus=0)
        def inner(x):
            return x + 1

        found = nbray.get(inner.remote(1)), nbray.get_runtime_context().gcs_address
        return found, nbray.get_runtime_context().get_node_id()

    (value, address), node = ray.get(ray.remote(outer).remote())
    assert value == 2
    assert address.rpartition(":")[2] == joined.rpartition(":")[2]
    assert node == ray.get_runtime_context().get_node_id()


def test_references_inside_values_are_counted_by_ray(joined):
    @nbray.remote
    def makes():
        return [nbray.put("inside")]

    @nbray.remote
    def reads(box):
        return nbray.get(box["ref"][0])

    (inner,) = nbray.get(makes.remote())
    assert nbray.get(inner) == "inside"
    assert nbray.get(reads.remote({"ref": [inner]})) == "inside"


def test_an_actor_of_rays_own_is_named_as_such(joined):
    import pytest
    import ray

    class Theirs:
        pass

    actor = ray.remote(num_cpus=0)(Theirs).options(name="theirs", namespace="tests").remote()
    ray.get(actor.__ray_ready__.remote())
    with pytest.raises(ValueError, match=r"made by Ray's own API: use ray.get_actor\('theirs'\)"):
        nbray.get_actor("theirs")


def test_a_call_that_is_tried_again_waits_for_its_actor_to_restart(joined):
    import os
    import time

    import pytest

    @nbray.remote(num_cpus=0, max_restarts=1)
    class Slow:
        def __init__(self):
            if nbray.get_runtime_context().was_current_actor_reconstructed:
                time.sleep(2)

        @nbray.method(max_task_retries=3)
        def add(self):
            return 1

        def crash(self):
            os._exit(1)

    actor = Slow.remote()
    assert nbray.get(actor.add.remote()) == 1
    with pytest.raises(nbray.exceptions.RayActorError):
        nbray.get(actor.crash.remote())
    assert nbray.get(actor.add.remote(), timeout=60) == 1
