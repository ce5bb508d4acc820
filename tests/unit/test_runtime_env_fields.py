"""What an environment says of itself, by Ray's methods."""

from __future__ import annotations

import pytest

from nbray.runtime_env import RuntimeEnv


def test_an_environment_without_packages_or_containers_says_so() -> None:
    env = RuntimeEnv(env_vars={"A": "1"})
    assert not (env.has_conda() or env.has_pip() or env.has_uv() or env.has_py_container())
    none = (
        env.pip_uri, env.uv_uri, env.conda_uri, env.conda_env_name, env.conda_config,
        env.virtualenv_name, env.image_uri, env.nsight, env.rocprof_sys, env.py_container_image,
        env.py_container_worker_path, env.py_container_run_options,
    )  # fmt: skip
    assert [one() for one in none] == [None] * len(none)
    assert env.plugin_uris() == env.java_jars() == []


def test_the_same_packages_have_the_same_uri() -> None:
    one, same = RuntimeEnv(pip=["a", "b"]), RuntimeEnv(pip={"packages": ["a", "b"]})
    assert one.pip_uri() == same.pip_uri() != RuntimeEnv(pip=["a"]).pip_uri()
    assert str(one.pip_uri()).startswith("pip://")
    assert str(RuntimeEnv(uv=["a"]).uv_uri()).startswith("uv://")


def test_conda_and_containers_are_told_apart() -> None:
    assert RuntimeEnv(conda="mine").conda_env_name() == "mine"
    assert RuntimeEnv(conda="mine").conda_config() is None
    made = RuntimeEnv(conda={"name": "x", "dependencies": ["b"]})
    assert made.conda_env_name() is None
    assert made.conda_config() == '{"dependencies": ["b"], "name": "x"}'
    held = RuntimeEnv(container={"image": "i", "run_options": ["-v"]})
    assert held.py_container_image() == "i"
    assert held.py_container_worker_path() == ""
    assert held.py_container_run_options() == ["-v"]


def test_extensions_are_few() -> None:
    env = RuntimeEnv(_ray_commit="c")
    assert env.get_extension("_ray_commit") == "c"
    assert env.get_extension("_ray_release") is None
    with pytest.raises(ValueError, match="Extension key"):
        env.get_extension("pip")
