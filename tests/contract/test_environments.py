"""Environments of tasks and actors: variables, how they add up, and who gets them."""

from __future__ import annotations

import os

import pytest
from api import load, ray

RuntimeEnv = load("runtime_env").RuntimeEnv


@ray.remote
def variables(*names):
    return [os.environ.get(name) for name in names]


def env(**values):
    return {"env_vars": values}


def test_a_task_has_its_variables_and_no_other_task_has():
    assert ray.get(variables.options(runtime_env=env(NB_A="1")).remote("NB_A")) == ["1"]
    assert ray.get(variables.remote("NB_A")) == [None]
    assert "NB_A" not in os.environ


def test_variables_are_expanded():
    given = env(NB_B="x", NB_C="${NB_B}:${NB_NOWHERE}:y")
    found = ray.get(variables.options(runtime_env=given).remote("NB_B", "NB_C"))
    assert found == ["x", "x::y"]


def test_what_a_task_launches_inherits_and_adds():
    @ray.remote(runtime_env=env(NB_D="1", NB_E="1"))
    def parent():
        names = ("NB_D", "NB_E", "NB_F")
        own = variables.options(runtime_env=env(NB_E="2", NB_F="3"))
        return ray.get([variables.remote(*names), own.remote(*names)])

    assert ray.get(parent.remote()) == [["1", "1", None], ["1", "2", "3"]]


def test_an_actor_has_its_variables():
    @ray.remote(runtime_env=env(NB_G="1"))
    class Actor:
        def read(self):
            return os.environ.get("NB_G")

        def launched(self):
            return ray.get(variables.remote("NB_G"))

        def context(self):
            return ray.get_runtime_context().runtime_env

    actor = Actor.remote()
    assert ray.get([actor.read.remote(), actor.launched.remote()]) == ["1", ["1"]]
    assert ray.get(actor.context.remote()) == env(NB_G="1")
    other = Actor.options(runtime_env=env(NB_G="2")).remote()
    assert ray.get(other.read.remote()) == "2"


def test_the_context_has_the_environment():
    @ray.remote
    def context():
        here = ray.get_runtime_context()
        return here.runtime_env, here.get_runtime_env_string()

    assert ray.get(context.remote()) == ({}, "{}")
    found, text = ray.get(context.options(runtime_env=RuntimeEnv(**env(NB_H="1"))).remote())
    assert found == env(NB_H="1")
    assert RuntimeEnv.deserialize(text) == found


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (5, TypeError, "runtime_env"),
        ({"env_vars": {"A": 1}}, TypeError, "Dict"),
        ({"working_dir": 1}, TypeError, "string"),
        ({"working_dir": "/nowhere/at/all"}, ValueError, "not a valid path"),
        ({"working_dir": "."}, ValueError, "job level"),
        ({"py_modules": "x"}, TypeError, "list of strings"),
        ({"pip": ["a"], "conda": "b"}, ValueError, "at the same time"),
        ({"pip": ["a"], "uv": ["b"]}, ValueError, "at the same time"),
        ({"pip": {"foo": 1}}, ValueError, "can only have these fields"),
        ({"excludes": "x"}, TypeError, "List"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "greater than zero"),
        ({"pip": 5}, TypeError, "must be of type str or List"),
        ({"pip": {}}, ValueError, "must include field 'packages'"),
        ({"pip": {"packages": 5}}, ValueError, "must be of type str o[fr] list"),
        ({"pip": "nowhere.txt"}, ValueError, "is not a valid file"),
        ({"pip": {"packages": ["a"], "pip_check": "x"}}, TypeError, "must be of type bool"),
        ({"uv": {"packages": "a.txt"}}, ValueError, "must be of type list"),
        ({"uv": {"packages": ["a", 1]}}, TypeError, "for 1-th item"),
        ({"uv": {"packages": ["a"], "pip_check": True}}, ValueError, "packages, uv_check, uv_ver"),
        ({"working_dir": "s3://x/y"}, ValueError, "files are supported for working_dir URIs"),
        ({"py_modules": ["s3://x/y"]}, ValueError, "supported for py_modules URIs; got s3://x/y"),
        ({"working_dir": "foo://x.zip"}, ValueError, "foo://x.zip is not a valid URI"),
        ({"conda": "/nowhere/x"}, ValueError, "Can't find conda env directory /nowhere/x"),
        ({"config": {"setup_timeout_seconds": "x"}}, TypeError, "must be of type int"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_environments_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        variables.options(runtime_env=given).remote()


def test_what_a_specification_means(tmp_path):
    (tmp_path / "requirements.txt").write_text("a\n# c\nb\n\n")
    listed = RuntimeEnv(pip=str(tmp_path / "requirements.txt"))
    assert listed["pip"] == {"packages": ["a", "# c", "b"], "pip_check": False}
    found = RuntimeEnv(uv={"packages": ["a", "a"]})["uv"]
    assert found == {
        "packages": ["a"], "uv_check": False, "uv_pip_install_options": ["--no-cache"]
    }  # fmt: skip
    assert RuntimeEnv(uv=["a"])["uv"] == {"packages": ["a"], "uv_check": False}
    assert RuntimeEnv(working_dir="local:///tmp").working_dir() == "local:///tmp"


def test_what_cannot_be_made_fails_the_work():
    @ray.remote(runtime_env={"conda": "nbray-has-no-such-environment"})
    class Actor:
        def call(self):
            return 1

    bad = {"conda": "nbray-has-no-such-environment"}
    for ref in (variables.options(runtime_env=bad).remote(), Actor.remote().call.remote()):
        with pytest.raises(ray.exceptions.RuntimeEnvSetupError, match="Failed to set up"):
            ray.get(ref)


@pytest.mark.concurrent
def test_environments_are_listed_with_who_is_in_them(until):
    state = load("util.state")
    mine = env(NB_LISTED="1")

    @ray.remote(runtime_env=mine)
    class Actor:
        def call(self):
            return 1

    def listed(*filters):
        every = state.list_runtime_envs(detail=True, filters=filters)
        return [one for one in every if "NB_LISTED" in one.runtime_env.get("env_vars", {})]

    actors = [Actor.remote(), Actor.remote()]
    assert ray.get([one.call.remote() for one in actors]) == [1, 1]
    (found,) = listed()
    assert (found.success, found.ref_cnt, found.error) == (True, 2, None)
    assert found.node_id == ray.get_runtime_context().get_node_id()
    assert found.creation_time_ms >= 0
    assert "NB_LISTED" in state.get_actor(actors[0]._actor_id.hex()).serialized_runtime_env
    del actors
    until(lambda: not listed())

    with pytest.raises(ray.exceptions.RuntimeEnvSetupError):
        ray.get(variables.options(runtime_env={"conda": "nbray-no-such", **mine}).remote())
    (failed,) = listed(("success", "=", "False"))
    assert (failed.runtime_env["conda"], failed.ref_cnt) == ("nbray-no-such", 0)
    assert "conda" in failed.error


@pytest.mark.own  # Ray's takes as long as a virtual environment with all of its own packages
@pytest.mark.concurrent
def test_what_takes_too_long_says_how_long_it_had(tmp_path):
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexec sleep 100\n")
    uv.chmod(0o700)
    slow = {
        "uv": ["x"], "config": {"setup_timeout_seconds": 1},
        "env_vars": {"PATH": f"{tmp_path}:$PATH", "NBRAY_ENVIRONMENTS_DIR": str(tmp_path / "kept")},
    }  # fmt: skip
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError) as raised:
        ray.get(variables.options(runtime_env=slow).remote())
    assert "within the timeout of 1 seconds. Consider increasing the timeout" in str(raised.value)
