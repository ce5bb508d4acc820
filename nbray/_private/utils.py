"""`ray._private.utils`: what this machine has."""

from __future__ import annotations

import binascii
import os
from pathlib import Path

__all__ = ["binary_to_hex", "get_num_cpus", "get_system_memory", "hex_to_binary"]


def get_num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_system_memory() -> int:
    """Bytes of memory of this machine, or of the container that bounds this process."""
    import psutil

    total = int(psutil.virtual_memory().total)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return min(total, int(Path("/sys/fs/cgroup", name).read_text()))
        except (OSError, ValueError):  # another kind of system, or no bound
            continue
    return total


def binary_to_hex(identifier: bytes) -> str:
    """The hexadecimal digits of *identifier*."""
    return binascii.hexlify(identifier).decode()


def hex_to_binary(hex_identifier: str) -> bytes:
    """The bytes of hexadecimal digits."""
    return binascii.unhexlify(hex_identifier)
