"""`nbray start`, `status` and `stop` for real: one sentence for each failure, nothing left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from e2e import cli
from harness import Traces, assert_nothing_left, eventually, marked, private_folder

from nbray.cli import main

HERE = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((HERE, 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def head(mark: str) -> Iterator[list[str]]:
    """A running head; the arguments of the line that a worker pastes."""
    before = len(marked(mark))
    start = ("start", "--head", "--node-ip-address", HERE, "--port", str(free_port()))
    done = cli.nbray(*start, "--num-cpus", "1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    # Root, head, node, and the worker that is made before it is asked for.
    assert eventually(lambda: len(marked(mark)) >= before + 4)
    yield cli.worker_line(done.stdout)
    stopped = cli.nbray("stop")
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def fails(head: list[str], mark: str) -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """Commands put here must have failed with one sentence and left nothing running."""
    before = Traces.now(mark)
    done: list[subprocess.CompletedProcess[str]] = []
    yield done
    assert done
    for each in done:
        assert each.returncode == 1, each
        assert each.stdout == ""
        (line,) = each.stderr.splitlines()
        assert line.startswith("Error: ")
        assert "Errno" not in line
    assert_nothing_left(before, mark)


def port_of(line: list[str]) -> str:
    return line[1].rpartition(":")[2]


Fails = list[subprocess.CompletedProcess[str]]


def test_a_used_port(head: list[str], fails: Fails) -> None:
    argv = ("start", "--head", "--node-ip-address", HERE, "--port", port_of(head))
    fails.append(cli.nbray(*argv))
    assert f"port {port_of(head)} on {HERE} is taken" in fails[0].stderr


def test_a_wrong_secret(head: list[str], fails: Fails) -> None:
    fails.append(cli.nbray(*head[:2], "--redis-password=quite-another-secret"))
    assert "another secret" in fails[0].stderr


def test_an_unreachable_head(fails: Fails) -> None:
    port = free_port()
    fails.append(cli.nbray("start", f"--address={HERE}:{port}", "--redis-password=long enough x"))
    assert f"no nbray listens at {HERE}:{port}" in fails[0].stderr


def test_something_else_at_the_address(fails: Fails) -> None:
    with socket.create_server((HERE, 0)) as other:
        port = other.getsockname()[1]
        argv = ("start", f"--address={HERE}:{port}", "--redis-password=long enough x")
        fails.append(cli.nbray(*argv))
    assert "is not nbray" in fails[0].stderr


def test_an_address_that_is_not_this_machines(fails: Fails) -> None:
    argv = ("start", "--head", "--node-ip-address", "192.0.2.77", "--port", str(free_port()))
    fails.append(cli.nbray(*argv))
    assert "no address 192.0.2.77" in fails[0].stderr


def test_no_secret(head: list[str], fails: Fails) -> None:
    # Where the head's record lies, it says the secret: this is as on another machine.
    folder = private_folder("nbt-other-")
    fails.append(cli.nbray(*head[:2], NBRAY_RUN_DIR=str(folder)))
    folder.rmdir()
    assert "--redis-password" in fails[0].stderr


def test_another_python_minor_version(head: list[str], fails: Fails, tmp_path: Path) -> None:
    # The joining machine believes to run another Python: all that differs is what it says.
    lie = "import platform\nplatform.python_version = lambda: '3.99.1'\n"
    (tmp_path / "sitecustomize.py").write_text(lie)
    fails.append(cli.nbray(*head, PYTHONPATH=str(tmp_path)))
    assert "3.99.1" in fails[0].stderr
    assert "use Python 3." in fails[0].stderr


def test_symmetric_run(mark: str) -> None:
    before = Traces.now(mark)
    folder = private_folder("nbt-other-")
    program = "import nbray; nbray.init(); print(nbray.cluster_resources()['mine'])"
    done = cli.nbray(
        "symmetric-run", "--address", f"{HERE}:{free_port()}", "--resources", '{"mine": 7}',
        "--", sys.executable, "-c", program, NBRAY_RUN_DIR=str(folder),
    )  # fmt: skip
    folder.rmdir()
    assert done.returncode == 0, done.stderr
    assert "7.0" in done.stdout
    assert_nothing_left(before, mark)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_block_ends_with_its_terminal(mark: str, number: signal.Signals) -> None:
    before = Traces.now(mark)
    argv = ("start", "--head", "--node-ip-address", HERE, "--port", str(free_port()), "--block")
    with subprocess.Popen(
        [*cli.NBRAY, *argv], env=cli.environment(), stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        said = [child.stdout.readline()]
        while said[-1] and not said[-1].startswith("A cluster runs"):
            said.append(child.stdout.readline())
        os.kill(child.pid, 0 if said[-1] else signal.SIGKILL)  # without it the test would wait
        assert said[-1], said
        os.kill(child.pid, number)
        rest = child.stdout.read()
        assert eventually(lambda: child.poll() is not None)
        assert child.returncode == 0, rest
    assert "stopping" in rest
    assert_nothing_left(before, mark)


@pytest.fixture
def said(head: list[str]) -> Iterator[Callable[..., str]]:
    """What a command prints that is run in this process."""
    import nbray

    def run(*argv: str) -> str:
        done = CliRunner().invoke(main, argv)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    nbray.init(head[1].partition("=")[2], namespace="mine")
    yield run
    nbray.shutdown()


def test_stacks_and_an_archive(said: Callable[..., str], tmp_path: Path) -> None:
    import nbray

    @nbray.remote(num_cpus=0)
    class Resident:
        def stand(self) -> str:
            return "here"

    actor: Any = Resident.options(name="it", lifetime="detached").remote()  # type: ignore[attr-defined]
    assert nbray.get(actor.stand.remote()) == "here"
    stacks = said("stack")
    assert "executor.py" in stacks
    assert nbray.get(actor.stand.remote()) == "here"  # it goes on
    secret = said("get-auth-token").strip()
    assert len(secret) == 43
    assert "this machine alone" in said("check-open-ports")
    file = tmp_path / "dump.tar.gz"
    said("cluster-dump", "-o", str(file), "--no-pip", "--no-debug-state")
    with tarfile.open(file) as archive:
        names = archive.getnames()
        texts = [archive.extractfile(one).read() for one in names]  # type: ignore[union-attr]
    assert any("logs/" in name and "node" in name for name in names)
    assert not any(secret.encode() in text for text in texts)
    nbray.shutdown()
    assert "Actor killed (force): it" in said(
        "kill-actor", "--name", "it", "--namespace", "mine", "--force", "--no-restart"
    )


def test_a_task_stops_until_somebody_enters_it(said: Callable[..., str]) -> None:
    import nbray

    @nbray.remote
    def stops() -> int:
        value = 1
        nbray.util.pdb.set_trace()
        return value + 1

    ref: Any = stops.remote()
    folder = Path(nbray.get_runtime_context().get_temp_dir())
    assert eventually(lambda: any(folder.rglob("breakpoint-*.json")))
    entered = subprocess.run(
        [*cli.NBRAY, "debug"], input="0\np value + 40\nvalue = 7\nc\n", env=cli.environment(),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Active breakpoints" in entered.stdout, entered
    assert "stops" in entered.stdout
    assert "41" in entered.stdout
    assert nbray.get(ref, timeout=30) == 8
    assert not any(folder.rglob("breakpoint-*"))
    assert "no task has failed" in said("debug")


def test_join_status_and_stop(mark: str) -> None:
    """The last one: it ends every cluster of this run directory."""
    before = Traces.now(mark)
    port = free_port()
    try:
        start = ("start", "--head", "--node-ip-address", HERE, "--port", str(port))
        first = cli.nbray(*start, "--num-cpus", "1", "--redis-password", "two words and more")
        assert first.returncode == 0, first.stderr
        assert "printf %s 'two words and more' |" in first.stdout
        argv = ("start", f"--address={HERE}:{port}", "--num-cpus=1", "--secret-file=-")
        joined = subprocess.run(
            [*cli.NBRAY, *argv],
            input="two words and more\n",
            env=cli.environment(),
            check=False,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert joined.returncode == 0, joined.stderr
        assert "node 2 of the cluster" in joined.stdout
        shown = cli.nbray("status")
        assert shown.returncode == 0, shown.stderr
        assert "2 nodes" in shown.stdout
    finally:
        stopped = cli.nbray("stop")
    assert stopped.returncode == 0
    assert_nothing_left(before, mark)
    again = cli.nbray("stop")
    assert again.returncode == 0
    assert "no nbray runs" in again.stdout
    assert cli.nbray("status").returncode == 1
