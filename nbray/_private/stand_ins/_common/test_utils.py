"""`ray._common.test_utils`: the newer name of `ray._private.test_utils`."""

from __future__ import annotations

from nbray._private.test_utils import (
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    run_string_as_driver,
    wait_for_condition,
    wait_for_pid_to_exit,
)

__all__ = [
    "Semaphore", "SignalActor", "async_wait_for_condition", "run_string_as_driver",
    "wait_for_condition", "wait_for_pid_to_exit",
]  # fmt: skip
