"""Jobs with folders, modules, packages and hooks of their own, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import nbray as ray


@pytest.fixture(autouse=True)
def _apart(monkeypatch, tmp_path):
    monkeypatch.setenv("NBRAY_ENVIRONMENTS_DIR", str(tmp_path / "kept"))
    ray.shutdown()
    yield
    ray.shutdown()


def wheel(folder, name, body):
    """The path of a wheel with one module in it."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    inside = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", body)
        archive.writestr(
            f"{inside}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{inside}/RECORD",
            f"{name}/__init__.py,,\n{inside}/METADATA,,\n{inside}/WHEEL,,\n{inside}/RECORD,,\n",
        )
    return str(path)


def test_a_job_has_a_folder_modules_and_a_hook(tmp_path):
    folder = tmp_path / "work"
    (folder / "left").mkdir(parents=True)
    (folder / "data.txt").write_text("hello")
    (folder / "a.log").write_text("long")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "nb_in_folder.py").write_text("X = 41")
    module = tmp_path / "modules" / "nb_module"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("Y = 7")
    before = Path.cwd()

    def hook():
        os.environ["NB_HOOK"] = "ran"

    ray.init(num_cpus=2, include_dashboard=False, runtime_env={
        "working_dir": str(folder), "py_modules": [str(module)], "excludes": ["left"],
        "worker_process_setup_hook": hook, "env_vars": {"NB_JOB": "1"},
    })  # fmt: skip

    @ray.remote
    def look():
        import nb_in_folder
        import nb_module

        text = Path("data.txt").read_text()
        names = sorted(path.name for path in Path().iterdir() if path.name != "__pycache__")
        return text, names, nb_in_folder.X + nb_module.Y, os.environ["NB_HOOK"]

    expected = ("hello", [".gitignore", "data.txt", "nb_in_folder.py"], 48, "ran")
    assert ray.get(look.remote()) == expected
    assert ray.get(look.options(runtime_env={"env_vars": {"NB_B": "2"}}).remote()) == expected
    there = ray.get_runtime_context().runtime_env["working_dir"]
    assert there.startswith("gcs://_ray_pkg_")
    assert Path.cwd() == before
    assert "NB_JOB" not in os.environ


def test_packages_are_installed_once_and_for_those_only_who_ask(tmp_path, capfd):
    given = {"pip": ["--no-index", wheel(tmp_path, "nbtinypackage", "V = 11")]}
    ray.init(num_cpus=2, include_dashboard=False)

    @ray.remote
    def use():
        import msgspec  # of the environment around
        import nbtinypackage

        return nbtinypackage.V, sys.prefix, bool(msgspec)

    value, prefix, _ = ray.get(use.options(runtime_env=given).remote())
    assert (value, prefix.startswith(str(tmp_path))) == (11, True)
    with pytest.raises(ModuleNotFoundError):
        ray.get(use.remote())
    bad = use.options(
        runtime_env={"pip": ["--no-index", "nb-no-such-package"]}, retry_exceptions=True
    )
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError, match="No matching distribution"):
        ray.get(bad.remote())
    ray.shutdown()
    ray.init(num_cpus=1, include_dashboard=False, runtime_env=given)
    assert ray.get(use.remote())[:2] == (11, prefix)
    ray.shutdown()
    assert capfd.readouterr().err.count("pip installed") == 1


OUTLIVED = """
import os
import nbray as ray

ray.init(address={address!r}, namespace="outlived", runtime_env={{
    "working_dir": {folder!r}, "worker_process_setup_hook": lambda: os.environ.update(NB_HOOK="1"),
}})

@ray.remote
def look():
    return open("data.txt").read() + os.environ["NB_HOOK"]

@ray.remote(lifetime="detached", name="it", max_restarts=1, max_task_retries=1)
class Actor:
    def look(self):
        return open("data.txt").read() + os.environ["NB_HOOK"] + ray.get(look.remote())

assert ray.get(Actor.remote().look.remote()) == "hello1hello1"
"""


def test_a_detached_actor_has_its_jobs_folder_when_the_job_has_ended(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "data.txt").write_text("hello")
    ray.init(num_cpus=2, include_dashboard=False, namespace="outlived")
    given = {"address": ray.get_runtime_context().gcs_address, "folder": str(tmp_path / "work")}
    subprocess.run([sys.executable, "-c", OUTLIVED.format(**given)], check=True)
    folders = Path(ray.get_runtime_context()._info().session_dir) / "environments"
    actor = ray.get_actor("it")
    ray.kill(actor, no_restart=False)
    (unpacked,) = [one for one in folders.iterdir() if one.is_dir()]
    unpacked.rename(tmp_path / "as on another node, where nothing is unpacked yet")
    assert ray.get(actor.look.remote()) == "hello1hello1"
    assert [one.class_name for one in ray.util.state.list_actors()] == ["Actor"]
    ray.kill(actor)
