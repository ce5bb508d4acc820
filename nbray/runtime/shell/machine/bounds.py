"""The bounds that a node started here would have, each with where it comes from.

Owns their words for people. Does not own the bounds: they are settings (`nbray.config`) and follow
from the machine (`resources`, `descriptors`). Rule: each says how it is changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from nbray import config
from nbray.config import NodeRequest
from nbray.figures import memory as size
from nbray.runtime.shell.machine import cgroups, descriptors
from nbray.runtime.shell.machine import resources as machine


def bounds() -> Iterator[str]:
    """A sentence for each."""
    request = NodeRequest(head=True, max_workers=config.most_workers())
    group = " (the limit of its control group)" if cgroups.memory_limit() is not None else ""
    cpus = " (the quota of its control group)" if cgroups.cpu_limit() is not None else ""
    yield f"at most {machine.cpus()} CPUs{cpus}: --num-cpus says otherwise"
    yield f"at most {size(machine.memory())} of memory{group}"
    store = machine.store_bytes(request)
    yield f"at most {size(store)} in the object store: --object-store-memory says otherwise"
    workers, why = machine.workers(request)
    yield f"at most {workers:,} workers: {why}"
    files = descriptors.widened()
    reserve = max(config.RESERVED_DESCRIPTORS, int(files * config.RESERVED_SHARE))
    yield (
        f"at most {files:,} files and connections of a process, {reserve:,} of them held "
        "back: the hard limit (ulimit -Hn) says otherwise"
    )
    strangers = min(config.STRANGERS, int(files * config.STRANGERS_SHARE))
    yield f"at most {strangers:,} connections at a time that have not shown the secret"
    kept = max(config.KEPT_OUTPUT, int(machine.memory() * config.KEPT_SHARE))
    yield (
        f"at most {size(kept)} of what C code prints wait to be read; Python's print waits after "
        f"{config.PRINTED_AHEAD:,} characters that are not shown yet"
    )
    yield (
        f"at most {size(config.MOST_ERROR)} of an error and {size(config.MOST_SHOWN)} of a display "
        "travel; what is longer is shortened and says so"
    )
