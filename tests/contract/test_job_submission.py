"""Programs that are submitted to a cluster as jobs."""

from __future__ import annotations

import asyncio
import time

import pytest

import nbray as ray
from nbray.job_submission import JobStatus, JobSubmissionClient
from nbray.util import state

# Ray answers these by an agent of its dashboard, which the contract does not start.
pytestmark = [pytest.mark.concurrent, pytest.mark.own]


@pytest.fixture(scope="module")
def client(engine):
    return JobSubmissionClient()


def end(client, job):
    deadline = time.monotonic() + 60
    while not client.get_job_status(job).is_terminal() and time.monotonic() < deadline:
        time.sleep(0.02)
    return client.get_job_info(job)


def test_a_job_runs_to_its_end(client, tmp_path) -> None:
    (tmp_path / "inside.txt").write_text("here")
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
    assert "hello\nhere" in client.get_job_logs(job)
    assert name in {one.submission_id for one in client.list_jobs()}
    assert state.get_job(name).status == "SUCCEEDED"
    with pytest.raises(RuntimeError, match="already exists"):
        client.submit_job(entrypoint="true", submission_id=name)
    assert client.delete_job(job) is True
    with pytest.raises(RuntimeError, match=f"Job {name} does not exist"):
        client.get_job_info(job)


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


def test_a_job_is_stopped(client) -> None:
    job = client.submit_job(entrypoint="sleep 100", entrypoint_num_cpus=1)
    deadline = time.monotonic() + 60
    while client.get_job_status(job) != JobStatus.RUNNING and time.monotonic() < deadline:
        time.sleep(0.02)
    assert client.get_job_info(job).message == "Job is currently running."
    assert ray.available_resources()["CPU"] == 3
    with pytest.raises(RuntimeError, match="non-terminal state"):
        client.delete_job(job)
    assert client.stop_job(job) is True
    assert end(client, job).status == JobStatus.STOPPED


@pytest.mark.parametrize("method", ["get_job_status", "get_job_info", "get_job_logs", "stop_job"])
def test_a_job_that_is_not_there(client, method: str) -> None:
    with pytest.raises(RuntimeError, match="Job nothing does not exist"):
        getattr(client, method)("nothing")


def test_arguments_of_the_wrong_kind(client) -> None:
    with pytest.raises(TypeError):
        client.submit_job()
    with pytest.raises(TypeError, match="address must be a string"):
        JobSubmissionClient(1)
    with pytest.raises(ConnectionError):
        JobSubmissionClient("http://127.0.0.1:1")
