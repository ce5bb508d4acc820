"""How environments add up and travel."""

from __future__ import annotations

import json

import pytest

from nbray.runtime.core.node.scheduling.workers import WorkerPool
from nbray.runtime.shell.client.environments import Environments, key_of
from nbray.runtime_env import RuntimeEnv, RuntimeEnvConfig, merged, text_of


def test_variables_add_up_and_other_fields_are_replaced():
    parent = text_of({"env_vars": {"A": "1", "B": "1"}, "pip": ["x"]})
    child = text_of({"env_vars": {"B": "2"}, "uv": ["y"]})
    found = json.loads(merged(parent, child))
    assert found["env_vars"] == {"A": "1", "B": "2"}
    assert found["uv"]["packages"] == ["y"]
    assert "pip" not in found
    assert merged("", child) == child
    assert merged(parent, "") == parent


def test_what_asks_for_nothing_is_nothing():
    assert text_of(None) == text_of({}) == text_of({"env_vars": {}}) == text_of({"pip": []}) == ""


def test_an_environment_is_a_dictionary_with_checks():
    env = RuntimeEnv(env_vars={"A": "1"}, pip=["x", "x"], unknown=3)
    assert env.pip_config() == {"packages": ["x"], "pip_check": False}
    assert env.plugins() == [("unknown", 3)]
    assert RuntimeEnv.deserialize(env.serialize()) == env
    with pytest.raises(TypeError):
        env["env_vars"] = {"A": 1}
    config = RuntimeEnv(config={"setup_timeout_seconds": 10})["config"]
    assert isinstance(config, RuntimeEnvConfig)
    assert config.to_dict()["eager_install"] is True


def test_how_it_is_made_does_not_tell_environments_apart():
    plain = text_of({"env_vars": {"A": "1"}})
    timed = text_of({"env_vars": {"A": "1"}, "config": {"setup_timeout_seconds": 5}})
    assert key_of(plain) == key_of(timed)


def test_work_inherits_the_environment_of_its_process():
    environments = Environments()
    assert environments.of("") is None
    own = environments.of(text_of({"env_vars": {"A": "1"}}))
    assert own is not None
    environments.entered(own)
    assert environments.of("") is own
    both = environments.of(text_of({"env_vars": {"B": "2"}}))
    assert json.loads(both.text)["env_vars"] == {"A": "1", "B": "2"}


def test_a_worker_serves_one_environment():
    pool = WorkerPool(ready=0, cap=10, idle_seconds=30.0)
    worker, _ = pool.fork(1, 1, 0.0)
    assert pool.spare(1, fresh=False, env=b"a") is worker  # it has run nothing: it can enter any
    worker.env = b"a"
    assert pool.spare(1, fresh=False, env=b"a") is worker
    assert pool.spare(1, fresh=False, env=b"b") is None
    assert pool.spare(1, fresh=False) is None
    worker.env, worker.used = b"", True
    assert pool.spare(1, fresh=False, env=b"a") is None
    assert pool.spare(1, fresh=False) is worker
