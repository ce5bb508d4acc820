"""`nbray job submit`, `status`, ...: programs that run on a cluster; `nbray jobs`, of notebooks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbray.commands.sentences import address_option, log_options, one_sentence

if TYPE_CHECKING:
    from nbray.job_submission import JobDetails, JobSubmissionClient

_ENDS = {"SUCCEEDED": "succeeded", "STOPPED": "was stopped", "FAILED": "failed"}


def _checked_object(
    _context: Any, _parameter: Any, value: str | None
) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        found = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"not JSON ({error})") from None
    if not isinstance(found, dict):
        raise click.BadParameter("not a JSON object")
    return found


def _object(name: str) -> Callable[[Any], Any]:
    option: Callable[[Any], Any] = click.option(name, callback=_checked_object, metavar="JSON")
    return option


def _from_file(path: str) -> dict[str, Any]:
    """A runtime environment from a YAML file; from JSON without a YAML library."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"--runtime-env: {error}") from None
    try:
        found = json.loads(text)
    except ValueError:
        try:
            import yaml  # type: ignore[import-untyped]
        except ImportError:
            raise click.BadParameter(
                f"--runtime-env: {path} is not JSON; pip install pyyaml to read YAML"
            ) from None
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise click.BadParameter(f"--runtime-env: {path}: {error}") from None
    if not isinstance(found, dict):
        raise click.BadParameter(f"--runtime-env: {path} holds no fields of an environment")
    return found


def _verify(_context: Any, _parameter: Any, _value: str | None) -> None:
    """Certificates of servers are looked at nowhere: a cluster's secret says who is who."""


def _common(command: Any) -> Any:
    """What all of Ray's commands of jobs take: an address, and how output looks."""
    for option in (
        click.option("--verify", callback=_verify, expose_value=False, hidden=True),
        click.option("--headers", callback=_checked_object, expose_value=False, hidden=True),
        click.option("-v", "--verbose", is_flag=True, expose_value=False, hidden=True),
        address_option, log_options,
    ):  # fmt: skip
        command = option(command)
    return command


@contextlib.contextmanager
def _client(address: str | None) -> Iterator[JobSubmissionClient]:
    """A client for one command; what goes wrong in it is one sentence."""
    from nbray.job_submission import JobSubmissionClient

    with one_sentence():
        client = JobSubmissionClient(address)
        try:
            yield client
        except TypeError as error:  # an environment of the wrong kind
            raise click.ClickException(str(error)) from None
        finally:
            client.close()


async def _follow(client: JobSubmissionClient, job: str) -> None:
    async for piece in client.tail_job_logs(job):
        sys.stdout.write(piece)
        sys.stdout.flush()


def _end(client: JobSubmissionClient, job: str) -> None:
    """Say how it ended; status 1 if it failed."""
    found = client.get_job_info(job)
    _say(job, found)
    if str(found.status) == "FAILED":
        raise SystemExit(1)


def _say(job: str, found: JobDetails) -> None:
    """How far it is, in Ray's words and in one that programs look for."""
    click.echo(f"Status for job '{job}': {found.status}")
    if found.message:
        click.echo(f"Status message: {found.message.strip()}")
    if str(found.status) in _ENDS:
        click.echo(f"Job '{job}' {_ENDS[str(found.status)]}")


@click.group("job")
def job() -> None:
    """Programs that run on a cluster and go on without who submitted them."""


@job.command("submit", context_settings={"ignore_unknown_options": True})
@_common
@click.option("--submission-id", "--job-id", metavar="ID", help="Its name.  [default: a new one]")
@_object("--runtime-env-json")
@click.option("--runtime-env", "runtime_env_file", metavar="FILE",
              help="A YAML file with a runtime environment.")
@click.option("--working-dir", metavar="FOLDER", help="Travels along; the program runs in it.")
@_object("--metadata-json")
@click.option("--entrypoint-num-cpus", type=float, help="Reserved while it runs.")
@click.option("--entrypoint-num-gpus", type=float, help="Reserved while it runs.")
@click.option("--entrypoint-memory", type=int, help="Bytes, reserved while it runs.")
@_object("--entrypoint-resources")
@_object("--entrypoint-label-selector")
@click.option("--no-wait", is_flag=True, help="Do not follow its output to its end.")
@click.argument("entrypoint", nargs=-1, required=True, type=click.UNPROCESSED)
def submit(
    address: str | None, submission_id: str | None, runtime_env_file: str | None,
    runtime_env_json: dict[str, Any] | None,
    working_dir: str | None, metadata_json: dict[str, Any] | None,
    entrypoint_num_cpus: float | None, entrypoint_num_gpus: float | None,
    entrypoint_memory: int | None, entrypoint_resources: dict[str, Any] | None,
    entrypoint_label_selector: dict[str, Any] | None, no_wait: bool, entrypoint: tuple[str, ...],
) -> None:  # fmt: skip
    """Run a command as a job: nbray job submit --working-dir . -- python program.py"""
    if runtime_env_file and runtime_env_json is not None:
        raise click.UsageError("Only one of --runtime-env and --runtime-env-json can be provided.")
    environment = dict(runtime_env_json or {})
    if runtime_env_file:
        environment = _from_file(runtime_env_file)
    if working_dir:
        environment["working_dir"] = working_dir
    with _client(address) as client:
        name = client.submit_job(
            entrypoint=shlex.join(entrypoint), submission_id=submission_id,
            runtime_env=environment, metadata=metadata_json,
            entrypoint_num_cpus=entrypoint_num_cpus, entrypoint_num_gpus=entrypoint_num_gpus,
            entrypoint_memory=entrypoint_memory, entrypoint_resources=entrypoint_resources,
            entrypoint_label_selector=entrypoint_label_selector,
        )  # fmt: skip
        click.echo(f"Job '{name}' submitted successfully")
        click.echo(f"Next steps:\n  nbray job logs {name}\n  nbray job status {name}\n"
                   f"  nbray job stop {name}")  # fmt: skip
        if no_wait:
            return
        click.echo("Tailing logs until the job exits (disable with --no-wait):")
        asyncio.run(_follow(client, name))
        _end(client, name)


@job.command("status")
@_common
@click.argument("job_id")
def status(address: str | None, job_id: str) -> None:
    """Say what has become of a job."""
    with _client(address) as client:
        found = client.get_job_info(job_id)
    _say(job_id, found)


@job.command("logs")
@_common
@click.option("-f", "--follow", is_flag=True, help="Go on to its end.")
@click.argument("job_id")
def logs(address: str | None, follow: bool, job_id: str) -> None:
    """Print what a job's program has written."""
    with _client(address) as client:
        if follow:
            asyncio.run(_follow(client, job_id))
            _end(client, job_id)
        else:
            click.echo(client.get_job_logs(job_id), nl=False)


@job.command("stop")
@_common
@click.option("--no-wait", is_flag=True, help="Do not wait for its end.")
@click.argument("job_id")
def stop(address: str | None, no_wait: bool, job_id: str) -> None:
    """End a job's program."""
    with _client(address) as client:
        click.echo(f"Attempting to stop job '{job_id}'")
        if not client.stop_job(job_id):
            _say(job_id, client.get_job_info(job_id))
            return
        if not no_wait:
            click.echo(f"Waiting for job '{job_id}' to exit (disable with --no-wait):")
        while not no_wait and not client.get_job_status(job_id).is_terminal():
            time.sleep(0.1)
        if not no_wait:
            _say(job_id, client.get_job_info(job_id))


@job.command("list")
@_common
def list_(address: str | None) -> None:
    """List submitted jobs."""
    from nbray.commands.tables import table

    with _client(address) as client:
        found = client.list_jobs()
    names = ("submission_id", "job_id", "status", "entrypoint", "message")
    rows = [
        {"type": one.type.value, **{name: getattr(one, name) for name in names}} for one in found
    ]
    click.echo(table(rows) if rows else "no jobs have been submitted")


@job.command("delete")
@_common
@click.argument("job_id")
def delete(address: str | None, job_id: str) -> None:
    """Forget a job that has ended."""
    with _client(address) as client:
        client.delete_job(job_id)
    click.echo(f"Job '{job_id}' deleted successfully")


@click.command("jobs")
@click.option("--address", metavar="HOST:PORT", help="Of which cluster.  [default: as attach]")
def background(address: str | None) -> None:
    """List the named background jobs of a cluster that this machine is part of."""
    from nbray import api
    from nbray import jobs as named
    from nbray.view.jobs import jobs_text

    with one_sentence():
        api.init(address=address or "auto", log_to_driver=False)
        try:
            click.echo(jobs_text(named.records(), time.time()))
        finally:
            api.shutdown()


COMMANDS = (job, background)
