"""Ray's `ray.job_submission`: programs that run on a cluster as jobs of their own.

Public names only: the client and its records. A submitted job goes on when who submitted it is
gone. What runs them is `manager`. Named background jobs of notebooks are others (`nbray.jobs`).
"""

from __future__ import annotations

from nbray.job_submission.client import JobSubmissionClient
from nbray.job_submission.records import (
    DriverInfo,
    JobDetails,
    JobErrorType,
    JobInfo,
    JobStatus,
    JobType,
)

__all__ = [
    "DriverInfo", "JobDetails", "JobErrorType", "JobInfo", "JobStatus", "JobSubmissionClient",
    "JobType",
]  # fmt: skip
