"""Programs that are submitted to a cluster as jobs."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from api import REAL, load, ray
from harness import eventually

job_submission, state = load("job_submission"), load("util.state")
JobStatus, JobSubmissionClient = job_submission.JobStatus, job_submission.JobSubmissionClient

pytestmark = pytest.mark.concurrent


@pytest.fixture(scope="module")
def client(engine):
    found = JobSubmissionClient()
    if REAL:  # the agent that starts jobs comes some seconds after the cluster
        assert eventually(lambda: starts(found))
    return found


def starts(client):
    try:
        return client.submit_job(entrypoint="true")
    except RuntimeError:  # no available agent
        return None


def end(client, job):
    deadline = time.monotonic() + 60
    while not client.get_job_status(job).is_terminal() and time.monotonic() < deadline:
        time.sleep(0.02)
    return client.get_job_info(job)


def test_a_job_runs_where_the_cluster_was_started(client) -> None:
    job = client.submit_job(entrypoint="pwd")
    assert end(client, job).status == "SUCCEEDED"
    assert str(Path.cwd()) in client.get_job_logs(job).splitlines()


def test_a_job_runs_to_its_end(client, tmp_path) -> None:
    (tmp_path / "inside.txt").write_text("here\n")
    name = f"a-job-{time.time_ns()}"
    job = client.submit_job(
        entrypoint='echo "$WORD"; cat inside.txt; test -n "$RAY_ADDRESS"',
        submission_id=name, metadata={"by": "me"},
        runtime_env={"env_vars": {"WORD": "hello"}, "working_dir": str(tmp_path)},
    )  # fmt: skip
    assert job == name
    assert client.get_job_status(job) in set(JobStatus)
    found = end(client, job)
    assert (found.status, found.submission_id) == (JobStatus.SUCCEEDED, name)
    assert found.status == "SUCCEEDED"
    assert found.message == "Job finished successfully."
    assert found.metadata["by"] == "me"
    assert found.end_time >= found.start_time > 1e12
    assert found.driver_exit_code == 0
    told = client.get_job_logs(job).splitlines()  # Ray writes of its own between them
    assert told.index("hello") < told.index("here")
    assert name in {one.submission_id for one in client.list_jobs()}
    assert state.get_job(name).status == "SUCCEEDED"
    with pytest.raises(RuntimeError, match="already exists"):
        client.submit_job(entrypoint="true", submission_id=name)
    assert client.delete_job(job) is True
    with pytest.raises(RuntimeError, match=f"Job {name} does not exist"):
        client.get_job_info(job)


PROGRAM = """
import nb_job_module
import {api} as ray

ray.init(runtime_env={"env_vars": {"OWN": "2"}})

@ray.remote
def inside():
    import os, nb_installed, nb_job_module
    return os.environ["WORD"] + os.environ["OWN"], nb_installed.V + nb_job_module.X, os.listdir()

print(ray.get(inside.remote()))
try:
    ray.shutdown()
    ray.init(runtime_env={"env_vars": {"WORD": "3"}})
except ValueError as error:
    print("conflict:", error)
"""


@pytest.mark.own  # whose installer is a shell's program
def test_a_jobs_environment_is_that_of_its_program_and_of_what_it_launches(
    client, tmp_path, monkeypatch
) -> None:
    """The installer is a shell's program: what pip does is its own affair."""
    folder, modules = tmp_path / "work", tmp_path / "nb_job_module"
    for made in (folder, modules, tmp_path / "bin"):
        made.mkdir()
    (folder / "program.py").write_text(PROGRAM.replace("{api}", ray.__name__))
    (folder / "left.log").touch()
    (modules / "__init__.py").write_text("X = 1")
    uv = tmp_path / "bin" / "uv"
    uv.write_text(
        '#!/bin/sh\nwhile [ -e "$NB_WAIT" ]; do sleep 0.02; done; test -e program.py || exit 3\n'
        'echo "V = 41" > "$(echo "$(dirname "$4")"/../lib/*/site-packages)/nb_installed.py"\n'
    )
    uv.chmod(0o700)
    variables = {
        "WORD": "hello", "PATH": f"{uv.parent}:$PATH", "NB_WAIT": str(tmp_path / "wait"),
        "NBRAY_ENVIRONMENTS_DIR": str(tmp_path / "kept"),
    }  # fmt: skip
    environment = {
        "working_dir": str(folder), "py_modules": [str(modules)], "excludes": ["*.log"],
        "uv": ["x"], "env_vars": variables,
    }  # fmt: skip
    job = client.submit_job(entrypoint="python program.py", runtime_env=environment)
    found = end(client, job)
    log = client.get_job_logs(job)
    assert found.status == JobStatus.SUCCEEDED, (found.message, log)
    assert "('hello2', 42, ['program.py'])" in log
    assert "conflict: Failed to merge the Job's runtime env" in log
    assert found.runtime_env["working_dir"].startswith("gcs://_ray_pkg_")

    (tmp_path / "wait").touch()
    waits = client.submit_job(entrypoint="true", runtime_env={**environment, "uv": ["y"]})
    deadline = time.monotonic() + 60
    while "uv installs y" not in client.get_job_info(waits).message and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "runtime environment to be set up" in client.get_job_info(waits).message
    assert client.stop_job(waits) is True
    assert end(client, waits).status == JobStatus.STOPPED
    (tmp_path / "wait").unlink()
    bad = client.submit_job(entrypoint="true", runtime_env={
        "uv": ["z"], "env_vars": {**variables, "PATH": f"{uv.parent}:$PATH"},
    })  # fmt: skip
    found = end(client, bad)  # without its folder, the installer fails
    assert (found.status, found.error_type) == (JobStatus.FAILED, "RUNTIME_ENV_SETUP_FAILURE")
    assert "runtime_env setup failed" in found.message
    assert "exit code 3" in found.message


@pytest.mark.own  # Ray looks at less of them
def test_wrong_environments_of_jobs_are_refused_at_once(client) -> None:
    for given, error in (
        (5, TypeError), ({"pip": 5}, TypeError), ({"working_dir": "/nowhere"}, ValueError),
        ({"pip": ["a"], "uv": ["b"]}, ValueError), ({"worker_process_setup_hook": end}, TypeError),
    ):  # fmt: skip
        with pytest.raises(error):
            client.submit_job(entrypoint="true", runtime_env=given)


def test_a_job_that_fails_and_its_output_as_it_comes(client) -> None:
    job = client.submit_job(entrypoint="echo one; echo two >&2; exit 3")
    assert job.startswith("raysubmit_")

    async def follow():
        return "".join([piece async for piece in client.tail_job_logs(job)])

    assert "one\ntwo" in asyncio.run(follow())
    found = end(client, job)
    assert (found.status, found.driver_exit_code) == (JobStatus.FAILED, 3)
    assert "Job entrypoint command failed with exit code 3" in found.message
    assert found.error_type == "JOB_ENTRYPOINT_COMMAND_ERROR"
    assert client.stop_job(job) is False


@pytest.mark.own  # Ray's answer ends there
def test_a_character_that_comes_in_two_halves_is_one(client, tmp_path) -> None:
    """Whoever follows a job asks whenever he likes, and pieces end anywhere."""
    go = tmp_path / "go"
    job = client.submit_job(
        entrypoint=f"printf 'gr\\303'; while [ ! -e {go} ]; do sleep 0.02; done; printf '\\274n'"
    )

    async def follow():
        pieces = []
        async for piece in client.tail_job_logs(job):
            pieces.append(piece)
            go.touch()
        return "".join(pieces)

    assert asyncio.run(follow()) == "grün"


def test_a_job_is_stopped(client, until) -> None:
    job = client.submit_job(entrypoint="sleep 100", entrypoint_num_cpus=1)
    deadline = time.monotonic() + 60
    while client.get_job_status(job) != JobStatus.RUNNING and time.monotonic() < deadline:
        time.sleep(0.02)
    assert client.get_job_info(job).message == "Job is currently running."
    until(lambda: ray.available_resources()["CPU"] == 3)
    with pytest.raises(RuntimeError, match="non-terminal state"):
        client.delete_job(job)
    assert client.stop_job(job) is True
    found = end(client, job)
    assert (found.status, found.driver_exit_code) == (JobStatus.STOPPED, None)


DRIVER = "import {api} as ray; ray.init(); print('it is', ray.get_runtime_context().get_job_id())"


def test_drivers_are_listed_those_of_jobs_with_them(client, tmp_path) -> None:
    program = tmp_path / "program.py"
    program.write_text(DRIVER.format(api=ray.__name__))
    name = client.submit_job(entrypoint=f"{sys.executable} {program}")
    found = end(client, name)
    assert f"it is {found.job_id}\n" in client.get_job_logs(name)
    assert found.driver_info.id == found.job_id
    every = {one.job_id: one for one in client.list_jobs()}
    assert every[found.job_id].submission_id == name
    assert (found.type, str(found.type)) == ("SUBMISSION", "JobType.SUBMISSION")
    here = every[ray.get_runtime_context().get_job_id()]
    assert (here.type, here.status, here.submission_id) == ("DRIVER", "RUNNING", None)
    assert here.driver_info.pid == str(os.getpid())


def test_what_cannot_be_reserved_is_said(client) -> None:
    for given in ({"entrypoint_num_cpus": "1"}, {"entrypoint_memory": ""}, {"metadata": {1: ""}}):
        with pytest.raises(TypeError, match="must be"):
            client.submit_job(entrypoint="true", **given)
    found = end(client, client.submit_job(entrypoint="true", entrypoint_num_cpus=-1))
    assert (found.status, found.error_type) == ("FAILED", "JOB_SUPERVISOR_ACTOR_START_FAILURE")
    assert "Failed to start supervisor actor" in found.message


@pytest.mark.parametrize("method", ["get_job_status", "get_job_info", "get_job_logs", "stop_job"])
def test_a_job_that_is_not_there(client, method: str) -> None:
    with pytest.raises(RuntimeError, match="Job nothing does not exist"):
        getattr(client, method)("nothing")


def test_arguments_of_the_wrong_kind(client, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(TypeError):
        client.submit_job()
    with pytest.raises(TypeError, match="address must be a string"):
        JobSubmissionClient(1)
    with pytest.raises(ConnectionError):
        JobSubmissionClient("http://127.0.0.1:1")


@pytest.mark.own
@pytest.mark.parametrize("name", ["../x", "a\0b", "é" * 101])
def test_a_name_that_no_file_can_have(client, name: str) -> None:
    with pytest.raises(RuntimeError, match="is no name of a job"):
        client.submit_job(entrypoint="true", submission_id=name)


@pytest.mark.own
def test_a_screen_has_them_the_latest_first(client) -> None:
    from nbray import session
    from nbray.job_submission.client import submitted

    name = f"shown-{time.time_ns()}"
    info = end(client, client.submit_job(entrypoint="exit 3", submission_id=name))
    latest = submitted(session.require(), 60.0)[0]
    assert (latest.name, latest.status, latest.program) == (name, "FAILED", "exit 3")
    assert latest.message == info.message
    assert latest.started <= latest.ended
