"""A cluster in a control group of its own: the hog goes first, and sizes follow the group.

`make bounds` has the hog come twenty times of each kind. The hierarchy is whichever this machine
offers (of version 1 or 2); the other's files are simulated in
`unit/runtime/shell/machine/test_cgroups.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import cli
from harness import require_or_skip

LIMIT = 700 << 20
TIMES = 20 if os.environ.get("NBRAY_BOUNDS") else 2


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with a limit on memory, below the first hierarchy that has one."""
    name = f"nbt-{uuid.uuid4().hex[:8]}"
    for root, limit, swap in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
        ("/sys/fs/cgroup/unified", "memory.max", "memory.swap.max"),
    ):
        folder = Path(root) / name
        try:
            folder.mkdir()
            (folder / limit).write_text(str(LIMIT))
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        with contextlib.suppress(OSError):
            (folder / swap).write_text(str(LIMIT) if "memsw" in swap else "0")
        break
    else:
        require_or_skip("no control group with a limit on memory can be made here")
    yield folder
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return


def inside(group: Path, program: str) -> dict[str, object]:
    """What *program* printed as JSON, run in the group."""
    path = group.name
    script = f'echo $$ > {group}/cgroup.procs && exec {sys.executable} -c "$PROGRAM"'
    done = subprocess.run(
        ["bash", "-c", script], env=cli.environment(PROGRAM=textwrap.dedent(program)),
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (path, done.returncode, done.stdout, done.stderr[-3000:])
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


HOG = """
    import json, os, time
    import numpy as np
    import nbray
    nbray.init(num_cpus=2, object_store_memory=50_000_000)
    mine = np.ones(30_000_000)  # 240 MB of the notebook's own
    @nbray.remote(max_retries=0)
    def hog():
        kept = []
        while True:
            kept.append(np.ones(2_000_000))
            time.sleep(0.005)
    @nbray.remote(num_cpus=0)
    class Keeper:
        def __init__(self): self.model = np.ones(8_000_000)  # 64 MB
        def pid(self): return os.getpid()
        def hog(self):
            while True:
                self.more = getattr(self, "more", []) + [np.ones(2_000_000)]
                time.sleep(0.005)
    @nbray.remote
    def one(value): return value + 1
    keeper = Keeper.remote()
    before = nbray.get(keeper.pid.remote())
    killed, others = [], []
    for _ in range({times}):
        if {kind!r} == "task":
            call = hog.remote()
        else:
            other = Keeper.remote()
            nbray.get(other.pid.remote())
            call = other.hog.remote()
        try: nbray.get(call, timeout=60)
        except nbray.exceptions.RayError as error:
            killed.append("memory" in str(error))
            if not killed[-1]: others.append(f"{{type(error).__name__}}: {{error}}")
        assert nbray.get(one.remote(1), timeout=60) == 2
    same = nbray.get(keeper.pid.remote()) == before
    print(json.dumps(dict(killed=sum(killed), others=others, same=same)))
"""


@pytest.mark.parametrize("kind", ["task", "actor"])
def test_the_hog_goes_first(kind: str, group: Path) -> None:
    found = inside(group, HOG.format(times=TIMES, kind=kind))
    assert found == {"killed": TIMES, "others": [], "same": True}


def test_sizes_follow_the_group_s_limit(group: Path) -> None:
    found = inside(
        group,
        """
        import json, time, nbray
        from nbray import session
        nbray.init(num_cpus=1)
        store = nbray.cluster_resources()["object_store_memory"]
        memory = nbray.cluster_resources()["memory"]
        deadline = time.monotonic() + 60
        engine, figures = session.require(), []
        while not figures and time.monotonic() < deadline:
            seen = [node.figures.memory_total for node in engine.insight.snapshot().nodes]
            figures = [total for total in seen if total]
            time.sleep(0.05)
        print(json.dumps(dict(store=store, both=store + memory, shown=figures[0])))
        """,
    )
    assert found == {"store": pytest.approx(0.3 * LIMIT, rel=0.01),
                     "both": pytest.approx(LIMIT, rel=0.01), "shown": LIMIT}  # fmt: skip


def test_what_does_not_fit_beside_others_is_tried_again_and_what_never_fits_says_so(
    group: Path,
) -> None:
    """Ray's policy of its memory monitor: no attempt is charged, and less runs beside it later."""
    found = inside(
        group,
        """
        import json, os, time
        import numpy as np
        import nbray
        nbray.init(num_cpus=3, object_store_memory=50_000_000)
        @nbray.remote(max_retries=1)
        def grow(index, parts):
            kept = []
            for _ in range(parts):
                kept.append(np.ones(1_000_000))  # 8 MB
                time.sleep(0.005)
            time.sleep(0.4)
            return index
        @nbray.remote(max_retries=0)
        def fixed():
            time.sleep(1)
            return os.getpid()
        store = nbray.put(np.ones(1_000_000))
        beside = fixed.options(num_cpus=0).remote()
        fit = nbray.get([grow.remote(index, 35) for index in range(4)], timeout=120)
        try: nbray.get(grow.options(name="endless").remote(0, 10_000), timeout=120)
        except nbray.exceptions.OutOfMemoryError as error: said = str(error)
        kept = nbray.get(beside) > 0 and float(nbray.get(store).sum())
        print(json.dumps(dict(fit=fit, said=said, kept=kept)))
        """,
    )
    assert found["fit"] == [0, 1, 2, 3]
    assert found["kept"] == 1_000_000
    said = str(found["said"])
    assert said.startswith("endless: its process (pid ")
    assert " on " in said.partition(" was ")[0]
    assert "it had used up to" in said
    assert "of the 700 MB there are" in said
