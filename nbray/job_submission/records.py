"""What is said of a submitted job, with Ray's names and words. Times are milliseconds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any


class JobStatus(StrEnum):
    """What has become of a job."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self in {JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED}


class JobType(str, Enum):  # noqa: UP042 - as in Ray, its text is 'JobType.DRIVER'
    """How a job came to be."""

    SUBMISSION = "SUBMISSION"
    DRIVER = "DRIVER"


class JobErrorType(StrEnum):
    """Why a job failed."""

    RUNTIME_ENV_SETUP_FAILURE = "RUNTIME_ENV_SETUP_FAILURE"
    JOB_SUPERVISOR_ACTOR_START_TIMEOUT = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
    JOB_SUPERVISOR_ACTOR_START_FAILURE = "JOB_SUPERVISOR_ACTOR_START_FAILURE"
    JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE = "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE"
    JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE = "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE"
    JOB_SUPERVISOR_ACTOR_DIED = "JOB_SUPERVISOR_ACTOR_DIED"
    JOB_ENTRYPOINT_COMMAND_START_ERROR = "JOB_ENTRYPOINT_COMMAND_START_ERROR"
    JOB_ENTRYPOINT_COMMAND_ERROR = "JOB_ENTRYPOINT_COMMAND_ERROR"


MESSAGES = {
    JobStatus.PENDING: "Job has not started yet.",
    JobStatus.RUNNING: "Job is currently running.",
    JobStatus.STOPPED: "Job was intentionally stopped.",
    JobStatus.SUCCEEDED: "Job finished successfully.",
    JobStatus.FAILED: "Job failed.",
}


@dataclass
class DriverInfo:
    """The driver that a job's program is."""

    id: str
    node_ip_address: str
    pid: str


@dataclass
class JobInfo:
    """A job and how far it is."""

    status: JobStatus
    entrypoint: str
    message: str | None = None
    error_type: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: dict[str, float] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None
    job_id: str | None = None
    """Of the driver that its program has begun last; None: none yet."""
    driver_pid: int = 0

    def __post_init__(self) -> None:
        self.status = JobStatus(self.status)
        if self.message is None:
            self.message = MESSAGES[self.status]
            if self.status is JobStatus.PENDING and self.reserves:
                self.message += (
                    " It may be waiting for resources (CPUs, GPUs, memory, custom resources) to "
                    "become available."
                )

    @property
    def reserves(self) -> bool:
        """Whether its program takes something of the cluster's while it runs."""
        return any((
            self.entrypoint_num_cpus, self.entrypoint_num_gpus, self.entrypoint_memory,
            self.entrypoint_resources,
        ))  # fmt: skip


@dataclass
class JobDetails:
    """What `get_job_info` and `list_jobs` give."""

    type: JobType
    status: JobStatus
    entrypoint: str
    job_id: str | None = None
    submission_id: str | None = None
    driver_info: DriverInfo | None = None
    message: str | None = None
    error_type: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None

    def __post_init__(self) -> None:
        self.type, self.status = JobType(self.type), JobStatus(self.status)

    def dict(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return dataclasses.asdict(self)


def details(submission_id: str, info: JobInfo, address: str) -> JobDetails:
    """What users are given of a job.

    Args:
        address: of the head's machine, where its program runs.
    """
    names = {one.name for one in dataclasses.fields(JobDetails)}
    known = {name: value for name, value in vars(info).items() if name in names}
    driver = None
    if info.job_id is not None:
        driver = DriverInfo(info.job_id, address, str(info.driver_pid))
    return JobDetails(
        type=JobType.SUBMISSION, submission_id=submission_id, driver_info=driver, **known
    )
