"""The actor that runs submitted jobs: their programs as processes of the head's machine.

Owns the jobs' processes, records and logs, as long as the cluster lives. Does not own what users
call (`client`). Rules: no method waits; what a program has started ends with the manager; what
its program reserves is held by an actor that does nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from nbray import api, session
from nbray.config import JOB_CONFIG, JOB_DRIVERS
from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting import watched_commands
from nbray.ids import OWN_CELL, job_hex
from nbray.job_submission.environment import JobEnvironment
from nbray.job_submission.records import JobErrorType, JobInfo, JobStatus
from nbray.remote import remote

NAME, NAMESPACE = "_nbray_job_manager", "_nbray_job_submission"
STOP_SECONDS = float(os.environ.get("RAY_JOB_STOP_WAIT_TIME_S", "3"))
"""What a program gets to end in order."""
ENDED_KEPT = 1000
"""Jobs that have ended, of which the records are kept."""
TAIL = 20_000
"""Characters of its log that a failed job's message quotes at most."""
PIECE = 1 << 20
"""Most characters of a log in one answer."""


class Holder:
    """Reserves resources by living."""

    def ready(self) -> bool:
        """It lives."""
        return True


class Stopped(BaseException):
    """A job is stopped before its program has begun."""


class Job:
    """One, with its process."""

    def __init__(self, info: JobInfo, log: Path, folder: Path) -> None:
        self.info = info
        self.log = log
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self.holder: Any = None

    def become(self, status: JobStatus, **more: Any) -> None:
        """It is *status* now, and says so in Ray's words or in *more*."""
        known = vars(self.info) | {"status": status, "message": None} | more
        if status.is_terminal():
            known["end_time"] = round(time.time() * 1000)
        self.info = JobInfo(**known)

    @property
    def drivers(self) -> Path:
        """The file in which its program's drivers say who they are."""
        return self.folder / "drivers"

    def known(self) -> JobInfo:
        """How far it is; with its latest driver."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            client, pid = self.drivers.read_text().splitlines()[-1].split()
            self.info.job_id, self.info.driver_pid = job_hex(int(client)), int(pid)
        return self.info

    def say(self, text: str) -> None:
        """A line of its log, by nbray."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")

    def now(self, what: str, line: str) -> None:
        """What goes on before its program can begin."""
        if self.stopping:
            raise Stopped
        self.become(JobStatus.PENDING, message=": ".join(filter(None, [
            "Job has not started yet. It may be waiting for the runtime environment to be set up",
            what, line,
        ])))  # fmt: skip


class JobManager:
    """All submitted jobs of a cluster."""

    def __init__(self) -> None:
        runtime = session.require().context.runtime()
        self._address = runtime.address
        self._node = runtime.node_id
        self._session = Path(runtime.session_dir)
        self._jobs: dict[str, Job] = {}

    def submit(self, submission_id: str, info: JobInfo, parts: dict[str, bytes]) -> str:
        """Start a job; '' or why it cannot be.

        *parts* are the archives that its environment names.
        """
        if submission_id in self._jobs:
            return (
                f"Job with submission_id {submission_id} already exists. "
                "Please use a different submission_id."
            )
        ended = [name for name, job in self._jobs.items() if job.info.status.is_terminal()]
        for name in ended[: max(0, len(ended) - ENDED_KEPT + 1)]:
            self.delete(name)
        info.start_time = round(time.time() * 1000)
        info.driver_node_id = self._node
        job = Job(
            info, self._session / "logs" / f"job-driver-{submission_id}.log",
            self._session / "jobs" / submission_id,
        )  # fmt: skip
        self._jobs[submission_id] = job
        threading.Thread(target=self._run, args=(submission_id, job, parts), daemon=True).start()
        return ""

    def info(self, submission_id: str) -> JobInfo | None:
        """How far a job is; None: there is none."""
        job = self._jobs.get(submission_id)
        return job.known() if job is not None else None

    def all(self) -> dict[str, JobInfo]:
        """Every job."""
        return {name: job.known() for name, job in self._jobs.items()}

    def log(self, submission_id: str, position: int) -> tuple[bytes, bool]:
        """(what its program has written from byte *position* on, whether that is all for ever)."""
        job = self._jobs[submission_id]
        over = job.info.status.is_terminal()
        try:
            with job.log.open("rb") as file:
                file.seek(position)
                piece = file.read(PIECE)
                return piece, over and not file.read(1)
        except FileNotFoundError:
            return b"", over

    def stop(self, submission_id: str) -> bool:
        """Have a job's program end; whether it ran."""
        job = self._jobs[submission_id]
        if job.info.status.is_terminal() or job.stopping:
            return False
        job.stopping = True
        threading.Thread(target=self._end, args=(job,), daemon=True).start()
        return True

    def delete(self, submission_id: str) -> str:
        """Forget a job that has ended; '' or why not."""
        job = self._jobs[submission_id]
        if not job.info.status.is_terminal():
            return (
                f"Attempted to delete job '{submission_id}', but it is in a non-terminal state "
                f"{job.info.status}."
            )
        del self._jobs[submission_id]
        shutil.rmtree(job.folder, ignore_errors=True)
        return ""

    # -- in threads

    def _run(self, submission_id: str, job: Job, parts: dict[str, bytes]) -> None:
        session.cell.set(OWN_CELL)
        info = job.info
        try:
            self._reserve(job)
        except Exception as error:  # noqa: BLE001 - the job's end, in whose message it stands
            kind, said = JobErrorType.JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE, f"Job failed: {error}"
            if isinstance(error, (TypeError, ValueError)):
                kind = JobErrorType.JOB_SUPERVISOR_ACTOR_START_FAILURE
                said = f"Failed to start supervisor actor {submission_id}: '{error}'"
            job.become(JobStatus.FAILED, error_type=kind.value, message=said)
            return
        environment = JobEnvironment(info.runtime_env or {}, parts, job.folder)
        try:
            if not job.stopping:
                with contextlib.suppress(Stopped):
                    self._start(submission_id, job, environment)
        except RuntimeEnvSetupError as error:
            kind = JobErrorType.RUNTIME_ENV_SETUP_FAILURE
            job.become(
                JobStatus.FAILED, error_type=kind.value,
                message=f"runtime_env setup failed: {error}",
            )  # fmt: skip
        except (OSError, ValueError) as error:
            kind = JobErrorType.JOB_ENTRYPOINT_COMMAND_START_ERROR
            job.become(JobStatus.FAILED, error_type=kind.value, message=f"Job failed: {error}")
        else:
            self._watch(job)
        finally:
            environment.end()
            if job.holder is not None:
                api.kill(job.holder)

    def _reserve(self, job: Job) -> None:
        info = job.info
        if not info.reserves:
            return
        options = {
            "num_cpus": info.entrypoint_num_cpus or 0,
            "num_gpus": info.entrypoint_num_gpus or 0,
            "memory": info.entrypoint_memory or 0,
            "resources": info.entrypoint_resources or {},
        }
        job.holder = remote(Holder).options(**options).remote()
        ready = job.holder.ready.remote()
        while not job.stopping and not api.wait([ready], timeout=0.5)[0]:
            pass
        if not job.stopping:
            api.get(ready)

    def _start(self, submission_id: str, job: Job, environment: JobEnvironment) -> None:
        env = environment.variables(job, {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "NBRAY_ADDRESS": self._address,
            "RAY_ADDRESS": self._address,
            "RAY_JOB_SUBMISSION_ID": submission_id,
            JOB_CONFIG: json.dumps({
                "runtime_env": job.info.runtime_env or {},
                "metadata": {**(job.info.metadata or {}), "job_submission_id": submission_id},
            }),
        })  # fmt: skip
        job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        env[JOB_DRIVERS] = str(job.drivers)
        with job.log.open("ab") as log:
            job.process = subprocess.Popen(
                watched_commands.under_watch(job.info.entrypoint),
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=env,
                cwd=environment.working_dir or _folder(), start_new_session=True,
            )  # fmt: skip
        job.become(JobStatus.RUNNING)
        if job.stopping:
            self._end(job)

    def _watch(self, job: Job) -> None:
        if job.process is None:
            job.become(JobStatus.STOPPED)
            return
        code = job.process.wait()
        watched_commands.ended(job.process)
        if job.stopping:
            job.become(JobStatus.STOPPED)
        elif code == 0:
            job.become(JobStatus.SUCCEEDED, driver_exit_code=0)
        else:
            kind = JobErrorType.JOB_ENTRYPOINT_COMMAND_ERROR
            job.become(
                JobStatus.FAILED, error_type=kind.value, driver_exit_code=code,
                message=f"Job entrypoint command failed with exit code {code}, last available "
                f"logs (truncated to {TAIL:,} chars):\n{_tail(job.log)}",
            )  # fmt: skip

    def _end(self, job: Job) -> None:
        process = job.process
        if process is None:
            return  # it has not begun, and will not
        name = os.environ.get("RAY_JOB_STOP_SIGNAL", "SIGTERM")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, getattr(signal, name, signal.SIGTERM))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _folder() -> str:
    """Where the cluster was started; the home folder if that is gone."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return str(Path.home())


def _tail(log: Path) -> str:
    """The last words; of a log that may be larger than the memory there is."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * TAIL))  # a character has at most four
            return file.read().decode(errors="replace")[-TAIL:]
    except OSError:
        return ""
