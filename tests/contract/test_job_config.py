"""`job_config.JobConfig`: what a job has, apart from `init`."""

from __future__ import annotations

import pytest
from api import REAL, load, ray

JobConfig = load("job_config").JobConfig


def test_its_settings_are_those_of_the_job(engine):
    ray.shutdown()
    more = {"include_dashboard": False, "address": "local"} if REAL else {"engine": engine}
    config = JobConfig(ray_namespace="of the job", metadata={"a": "b"})
    config.set_metadata("c", "d")
    assert config.metadata == {"a": "b", "c": "d"}
    ray.init(num_cpus=1, job_config=config, **more)
    assert ray.get_runtime_context().namespace == "of the job"
    ray.shutdown()
    other = JobConfig.from_json({"ray_namespace": "of the other"})
    ray.init(num_cpus=1, job_config=other, **more)
    assert ray.get_runtime_context().namespace == "of the other"
    ray.shutdown()
    config.set_ray_namespace("not used")
    ray.init(num_cpus=1, job_config=config, namespace="said", **more)
    assert ray.get_runtime_context().namespace == "said"


def test_which_of_its_actors_outlive_their_handles(engine, until):
    ray.shutdown()
    more = {"include_dashboard": False, "address": "local"} if REAL else {"engine": engine}
    ray.init(num_cpus=1, job_config=JobConfig(default_actor_lifetime="detached"), **more)

    @ray.remote(num_cpus=0)
    class Actor:
        def who(self):
            return "here"

    def gone():
        try:
            ray.get_actor("says no")
        except ValueError:
            return True
        return False

    for name, options in {"says nothing": {}, "says no": {"lifetime": "non_detached"}}.items():
        assert ray.get(Actor.options(name=name, **options).remote().who.remote()) == "here"
    until(gone)
    assert ray.get(ray.get_actor("says nothing").who.remote()) == "here"


def test_what_it_refuses():
    assert JobConfig().runtime_env == {}
    assert JobConfig.from_json({"runtime_env": {"env_vars": {"A": "1"}}}).runtime_env == {
        "env_vars": {"A": "1"}
    }
    with pytest.raises(TypeError, match="code search path"):
        JobConfig(code_search_path="here")
    with pytest.raises(ValueError, match="must be one of `detached`, `non_detached`"):
        JobConfig(default_actor_lifetime="for ever")
    with pytest.raises(TypeError, match="dict or LoggingConfig"):
        JobConfig().ensure_logging_config(3)


def test_memory_for_tasks(engine):
    ray.shutdown()
    more = {"include_dashboard": False, "address": "local"} if REAL else {"engine": engine}
    ray.init(num_cpus=1, _memory=500 * 2**20, object_store_memory=100 * 2**20, **more)
    assert ray.cluster_resources()["memory"] == 500 * 2**20
    assert ray.cluster_resources()["object_store_memory"] == 100 * 2**20


def test_what_only_looks_starts_nothing():
    ray.shutdown()
    for look in (ray.nodes, ray.cluster_resources, ray.available_resources):
        with pytest.raises(ray.exceptions.RaySystemError):
            look()
    with pytest.raises(RuntimeError):
        ray.timeline()
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"resources": {"CPU": 1}}, AssertionError, "cannot be a custom resource"),
        ({"resources": {"memory": 1}}, AssertionError, "cannot be a custom resource"),
        ({"resources": {"a": -1}}, ValueError, "negative"),
        ({"num_cpus": -1}, ValueError, "negative"),
        ({"object_store_memory": 1000}, ValueError, "Attempting to cap object store memory usage"),
        ({"namespace": ""}, ValueError, "namespace"),
        ({"namespace": 3}, TypeError, "namespace must be"),
        ({"_system_config": 3}, TypeError, "_system_config must be a dict"),
        ({"address": "nonsense"}, ValueError, "address"),
        ({"address": "http://here"}, ValueError, "address"),
        ({"nonsense": 1}, RuntimeError, r"Unknown keyword argument\(s\): nonsense"),
    ],
    ids=str,
)
def test_what_init_refuses(given, kind, words):
    ray.shutdown()
    with pytest.raises(kind, match=words):
        ray.init(**({"include_dashboard": False, "address": "local"} if REAL else {}) | given)
    assert not ray.is_initialized()
