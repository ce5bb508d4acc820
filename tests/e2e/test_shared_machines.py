"""Machines as they are found: a kernel that is killed, a small /dev/shm, several users."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.cli import environment
from e2e.front import Front
from harness import eventually, marked, private_folder, require_or_skip
from jupyter_client.manager import start_new_kernel

SECONDS = 5.0 if "PYTEST_XDIST_WORKER" not in os.environ else 30.0
"""What a killed kernel's cluster has to be gone; more where other files of tests run beside it."""


def test_nothing_is_left_of_a_killed_kernel(mark: str) -> None:
    before = set(marked(mark))
    manager, client = start_new_kernel(kernel_name="python3")
    front = Front(manager, client)
    answer = front.run(
        "%load_ext nbray\n%nbray start --cpus 2\nimport os, time\n"
        "@remote\ndef f():\n    time.sleep(60)\n"
        "@remote\nclass A:\n    def pid(self):\n        return os.getpid()\n"
        "a = A.options(name='kept').remote()\nnbray.get(a.pid.remote())\n"
        "refs = [f.remote() for _ in range(8)]\nos.getpid()"
    )
    assert not answer.error, answer.traceback
    assert len(set(marked(mark)) - before) >= 5  # kernel, root, head, node, workers
    os.kill(int(answer.result), signal.SIGKILL)
    left = eventually(lambda: not set(marked(mark)) - before, SECONDS)
    assert left, {pid: line for pid, line in marked(mark).items() if pid not in before}
    client.stop_channels()
    manager.shutdown_kernel(now=True)


BIG = """
import numpy as np
import nbray

nbray.init(num_cpus=2, object_store_memory=300_000_000)

@nbray.remote
def ones(n):
    return np.ones(n)

refs = [ones.remote(2_500_000) for _ in range(8)]
refs.append(nbray.put(np.ones(2_500_000)))
print(sum(float(nbray.get(ref).sum()) for ref in refs))
"""


def test_a_small_dev_shm_does_not_matter(tmp_path: Path) -> None:
    """180 MB of objects with 1 MB of /dev/shm: segments do not lie there."""
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        require_or_skip("mounting a small /dev/shm takes root and unshare")
    (tmp_path / "big.py").write_text(BIG)
    mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    if subprocess.run([unshare, "--mount", "sh", "-c", mount], check=False).returncode:
        require_or_skip("this container may not mount")
    done = subprocess.run(
        [unshare, "--mount", "sh", "-c", f'{mount} && exec "$0" big.py', sys.executable],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(9 * 2_500_000.0)


WHERE = """
import os, sys
import nbray
from nbray.config import run_root
nbray.init(num_cpus=1)
one = nbray.remote(lambda: os.getuid())
print(nbray.get(one.remote()), run_root(), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("users", [(61_234, 61_235)])
def test_two_users_of_one_machine_do_not_meet(users: tuple[int, int], tmp_path: Path) -> None:
    """Each has a folder of their own, closed to others, and finds no cluster but their own."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        require_or_skip("becoming two users takes root and setpriv")
    variables = environment(HOME="/tmp")
    variables.pop("NBRAY_RUN_DIR")  # the default is what is shown
    starts = []
    try:
        for user in users:
            # They may read where this Python lies, which can be closed to others.
            starts.append(subprocess.Popen(  # noqa: PERF401 - what has started must be ended
                [setpriv, f"--reuid={user}", f"--regid={user}", "--clear-groups",
                 "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
                 sys.executable, "-c", WHERE], env=variables, cwd="/",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ))  # fmt: skip
        for user, process in zip(users, starts, strict=True):
            assert process.stdout is not None
            line = process.stdout.readline().split()
            if not line:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read())
            assert int(line[0]) == user
            assert str(user) in line[1]
            info = Path(line[1]).stat()
            assert stat.S_IMODE(info.st_mode) == 0o700
            assert info.st_uid == user
    finally:
        for process in starts:
            process.communicate()
        for user in users:
            shutil.rmtree(f"/tmp/nbray-{user}", ignore_errors=True)


def test_another_users_folder_is_refused() -> None:
    """A folder that somebody else made in our name is not used."""
    if os.geteuid() != 0:
        require_or_skip("giving a folder to another user takes root")
    folder = private_folder("nbt-taken-")
    try:
        os.chown(folder, 61_234, 61_234)
        done = subprocess.run(
            [sys.executable, "-c", "import nbray; nbray.init(num_cpus=1)"],
            env=environment(NBRAY_RUN_DIR=str(folder)), capture_output=True, text=True,
            timeout=150, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert str(folder) in done.stderr.splitlines()[-1]
    finally:
        shutil.rmtree(folder)
