"""`JobSubmissionClient`: submits jobs to a cluster that runs, and follows them.

Owns the checks of arguments and Ray's errors. Does not own the jobs (`manager`). A client uses
the cluster that its program is in, if that is the one; else it attaches to it by itself.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import secrets
import string
import weakref
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from nbray import session
from nbray.clusters.local import engine_of
from nbray.details import SubmittedRecord
from nbray.engine import ActorInfo, Function
from nbray.exceptions import RayError
from nbray.ids import FIRST_NODE, OWN_CELL
from nbray.job_submission.environment import packed
from nbray.job_submission.manager import NAME, NAMESPACE, JobManager
from nbray.job_submission.records import JobDetails, JobInfo, JobStatus, details
from nbray.options import BARE, ActorOptions, MethodOptions
from nbray.version import __version__

if TYPE_CHECKING:
    from nbray.engine import Engine

POLL = 0.2
"""Seconds between two looks at a log that is followed."""
_METHODS = ("submit", "info", "all", "log", "stop", "delete")
_LONGEST_ID = 200
"""Bytes of a job's name: its log is a file of that name."""
_LETTERS = string.ascii_letters + string.digits


def _failed(status: int, why: str) -> RuntimeError:
    return RuntimeError(f"Request failed with status code {status}: {why}.")


def ask(
    engine: Engine, method: str, *args: Any, create: bool = False, seconds: float | None = None
) -> Any:
    """What the cluster's job manager answers; None where there is none and none is to be made.

    Raises:
        GetTimeoutError: it does not within *seconds*.
    """
    token = session.cell.set(OWN_CELL)
    try:
        try:
            info, life = engine.actors.named(NAME, NAMESPACE)
        except ValueError:
            if not create:
                return None
            blank = ActorInfo(0, 0, "JobManager", dict.fromkeys(_METHODS, MethodOptions()))
            options = ActorOptions(
                name=NAME, namespace=NAMESPACE, lifetime="detached", get_if_exists=True,
                node=FIRST_NODE, runtime_env=BARE,
            )  # fmt: skip
            info, life = engine.actors.create(
                Function(JobManager, "JobManager"), (), {}, options, blank
            )
        refs = engine.actors.call(info, life, method, args, {}, MethodOptions())
        return engine.get(refs, seconds)[0]
    finally:
        session.cell.reset(token)


def submitted(engine: Engine, seconds: float) -> tuple[SubmittedRecord, ...]:
    """Every submitted job for a screen, the latest first.

    Raises:
        RayError: who has them is dead, or says nothing within *seconds*.
    """
    found: dict[str, JobInfo] = ask(engine, "all", seconds=seconds) or {}

    def moment(milliseconds: int | None) -> float | None:
        return milliseconds / 1000 if milliseconds else None

    return tuple(
        SubmittedRecord(
            name, str(one.status), one.entrypoint, one.message or "",
            moment(one.start_time), moment(one.end_time),
        )
        for name, one in reversed(found.items())
    )  # fmt: skip


def log_of(engine: Engine, job_id: str) -> str:
    """What the job's program has written so far.

    Raises:
        RuntimeError: there is no such job.
    """
    if ask(engine, "info", job_id) is None:
        raise _failed(404, f"Job {job_id} does not exist")
    pieces, position = [], 0
    while piece := ask(engine, "log", job_id, position)[0]:
        pieces.append(piece)
        position += len(piece)
    return b"".join(pieces).decode(errors="replace")


def listed(engine: Engine, own: bool) -> list[JobDetails]:
    """Every submitted job, and every driver that is not the program of one.

    Args:
        own: *engine* is attached for this alone: it is no job.
    """
    from nbray import details as known  # late: few list jobs
    from nbray.job_submission.drivers import drivers

    submitted: dict[str, JobInfo] = ask(engine, "all") or {}
    host = engine.context.runtime().address.rpartition(":")[0]
    found = [details(name, info, host) for name, info in submitted.items()]
    programs = {one.job_id for one in found}
    processes = engine.insight.complete(known.TASKS, 30.0)
    hidden = processes.me if own else 0
    nodes = {int(node.get("NodeNumber", 1)): node for node in engine.cluster.nodes()}
    return found + [one for one in drivers(processes, nodes, hidden) if one.job_id not in programs]


_KINDS: dict[Any, str] = {
    dict: "a dict", str: "a string", int: "an integer", (int, float): "a number"
}  # fmt: skip


def check(name: str, value: Any, kind: Any, inside: Any = None) -> None:
    """Refuse an argument that is not of its kind; a dictionary's values are of kind *inside*.

    Raises:
        TypeError: it is another.
    """
    if value is None:
        return
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {_KINDS[kind]}, got {type(value)}")
    for key, one in value.items() if inside is not None else ():
        if not isinstance(key, str):
            raise TypeError(f"{name} keys must be strings, got {type(key)}")
        if not isinstance(one, inside):
            kinds = "strings" if inside is str else "numbers"
            raise TypeError(f"{name} values must be {kinds}, got {type(one)}")


class JobSubmissionClient:
    """Submits programs to a cluster.

    Args:
        address: 'HOST:PORT' of the cluster, or its dashboard's link ('http://127.0.0.1:8265');
            None: the cluster in use, else NBRAY_ADDRESS or RAY_ADDRESS, else the youngest here.
        create_cluster_if_needed, cookies, headers, verify: accepted as Ray's are, without effect.
        metadata: added to that of every job.

    Raises:
        ConnectionError: there is no such cluster.
        TypeError: an argument is of the wrong kind.
    """

    def __init__(
        self, address: str | None = None, create_cluster_if_needed: bool = False,
        cookies: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None, verify: str | bool | None = True, **_others: Any,
    ) -> None:  # fmt: skip
        if address is not None and not isinstance(address, str):
            raise TypeError(f"address must be a string, got {type(address)}")
        if metadata is not None and not isinstance(metadata, dict):
            raise TypeError(f"metadata must be a dict, got {type(metadata)}")
        self._metadata = metadata or {}
        stack = contextlib.ExitStack()
        try:
            self._engine, self._own = stack.enter_context(engine_of(address))
        except (RayError, OSError) as error:
            raise ConnectionError(
                f"Failed to connect to Ray at address: {address or 'auto'}. {error}"
            ) from None
        if not self._engine.capabilities.processes:
            stack.close()
            raise ConnectionError("jobs are processes: use nbray.init(engine='native')")
        if self._engine.capabilities.submits:
            stack.close()
            raise ConnectionError(self._engine.capabilities.submits)
        self.close = weakref.finalize(self, stack.close)
        """Detaches; happens by itself in the end."""

    def get_version(self) -> str:
        """nbray's."""
        return __version__

    def get_address(self) -> str:
        """Of the cluster: 'host:port'."""
        return self._engine.context.runtime().address

    def submit_job(
        self, *, entrypoint: str, job_id: str | None = None,
        runtime_env: Mapping[str, Any] | None = None, metadata: dict[str, str] | None = None,
        submission_id: str | None = None, entrypoint_num_cpus: float | None = None,
        entrypoint_num_gpus: float | None = None, entrypoint_memory: int | None = None,
        entrypoint_resources: dict[str, float] | None = None,
        entrypoint_label_selector: dict[str, str] | None = None,
    ) -> str:  # fmt: skip
        """Start a job; does not wait for it.

        Args:
            entrypoint: a shell's command; it runs on the head's machine, with RAY_ADDRESS set.
            submission_id: its name; None: a new one.
            runtime_env: see `nbray.runtime_env.RuntimeEnv`: the program has it, and what it
                launches; folders travel along.
            metadata: texts by text, kept with it.
            entrypoint_num_cpus, ...: what is reserved while it runs, beside what its tasks take.

        Returns:
            The submission id.

        Raises:
            RuntimeError: there is a job of that id, or the job cannot be started.
            TypeError, ValueError: an argument is wrong.
            RuntimeEnvSetupError: a folder of *runtime_env* cannot be packed.
        """
        if not isinstance(entrypoint, str):
            raise TypeError(f"entrypoint must be a string, got {type(entrypoint)}")
        check("metadata", metadata, dict, str)
        check("entrypoint_num_cpus", entrypoint_num_cpus, (int, float))
        check("entrypoint_num_gpus", entrypoint_num_gpus, (int, float))
        check("entrypoint_memory", entrypoint_memory, int)
        check("entrypoint_resources", entrypoint_resources, dict, (int, float))
        check("submission_id", submission_id, str)
        identity = submission_id or job_id
        if identity is None:
            identity = "raysubmit_" + "".join(secrets.choice(_LETTERS) for _ in range(16))
        if (
            not identity or "/" in identity or "\0" in identity or identity.startswith(".")
            or len(identity.encode(errors="replace")) > _LONGEST_ID
        ):
            raise _failed(400, f"submission_id {identity!r} is no name of a job")
        environment, parts = packed(runtime_env)
        info = JobInfo(
            JobStatus.PENDING, entrypoint, metadata={**(metadata or {}), **self._metadata},
            runtime_env=environment, entrypoint_num_cpus=entrypoint_num_cpus,
            entrypoint_num_gpus=entrypoint_num_gpus, entrypoint_memory=entrypoint_memory,
            entrypoint_resources=entrypoint_resources,
        )  # fmt: skip
        if entrypoint_label_selector:
            raise ValueError(
                "entrypoint_label_selector: a job's program runs on the head's machine, always"
            )
        why = ask(self._engine, "submit", identity, info, parts, create=True)
        if why:
            raise _failed(400, why)
        return identity

    def _known(self, job_id: str) -> JobInfo:
        """Raises:
        RuntimeError: there is no such job.
        """
        found: JobInfo | None = ask(self._engine, "info", job_id)
        if found is None:
            raise _failed(404, f"Job {job_id} does not exist")
        return found

    def get_job_status(self, job_id: str) -> JobStatus:
        """What has become of it; raises as `get_job_info` does."""
        return self._known(job_id).status

    def get_job_info(self, job_id: str) -> JobDetails:
        """What is known of it.

        Raises:
            RuntimeError: there is no such job.
        """
        return details(job_id, self._known(job_id), self._head())

    def list_jobs(self) -> list[JobDetails]:
        """All that were submitted and not deleted (ended ones up to 1,000), and other drivers."""
        return listed(self._engine, self._own)

    def _head(self) -> str:
        return self.get_address().rpartition(":")[0]

    def stop_job(self, job_id: str) -> bool:
        """Ask it to end: SIGTERM, after 3 seconds SIGKILL. Whether it ran."""
        self._known(job_id)
        stopped: bool = ask(self._engine, "stop", job_id)
        return stopped

    def delete_job(self, job_id: str) -> bool:
        """Forget one that has ended.

        Raises:
            RuntimeError: there is none, or it has not ended.
        """
        self._known(job_id)
        why = ask(self._engine, "delete", job_id)
        if why:
            raise _failed(500, why)
        return True

    def get_job_logs(self, job_id: str) -> str:
        """What its program has written so far, to stdout and stderr."""
        return log_of(self._engine, job_id)

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """What its program writes, as it comes, until it ends."""
        self._known(job_id)
        position, over = 0, False
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode  # pieces end anywhere
        while not over:
            piece, over = await asyncio.to_thread(ask, self._engine, "log", job_id, position)
            position += len(piece)
            text = decode(piece, over)
            if text:
                yield text
            elif not over:
                await asyncio.sleep(POLL)
