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
    ray.init(num_cpus=1, job_config={"ray_namespace": "of the other"}, **more)
    assert ray.get_runtime_context().namespace == "of the other"
    ray.shutdown()
    config.set_ray_namespace("not used")
    ray.init(num_cpus=1, job_config=config, namespace="said", **more)
    assert ray.get_runtime_context().namespace == "said"


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
