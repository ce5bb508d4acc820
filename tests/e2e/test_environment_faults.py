"""Who dies or is stopped while packages are installed: the installer ends, the next use works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import eventually

import nbray as ray

UV = """#!/bin/sh
echo $$ >> "$NB_FOLDER/runs"
echo "Resolved 1 package"
echo $$ > "$NB_FOLDER/running"
while [ ! -e "$NB_FOLDER/go" ]; do sleep 0.05; done
touch "$(dirname "$4")/../lib/{python}/site-packages/nb_installed.py"
""".replace("{python}", f"python{sys.version_info[0]}.{sys.version_info[1]}")


class Installer:
    """`uv`, which installs when it is let go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "bin").mkdir()
        uv = folder / "bin" / "uv"
        uv.write_text(UV)
        uv.chmod(0o700)

    def began(self) -> int:
        """Its process, once it runs."""
        running = self._folder / "running"
        assert eventually(lambda: running.exists() and running.read_text().strip())
        pid = int(running.read_text())
        running.unlink()
        return pid

    def go(self) -> None:
        (self._folder / "go").touch()

    def runs(self) -> int:
        return len((self._folder / "runs").read_text().split())


@pytest.fixture
def installer(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("NB_FOLDER", str(tmp_path))
    monkeypatch.setenv("NBRAY_ENVIRONMENTS_DIR", str(tmp_path / "kept"))
    ray.shutdown()
    yield Installer(tmp_path)
    ray.shutdown()


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@ray.remote(runtime_env={"uv": ["x"]}, num_cpus=0)
def use():
    import nb_installed

    return os.getpid() if nb_installed else 0


def test_cancelled_then_a_killed_worker_then_the_next_use(installer):
    ray.init(num_cpus=1, include_dashboard=False)
    stopped = use.remote()
    first = installer.began()
    with pytest.raises(ray.exceptions.GetTimeoutError, match="Environment: uv installs x, "):
        ray.get(stopped, timeout=0.5)
    ray.cancel(stopped)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(stopped)
    assert eventually(lambda: not lives(first))
    again = use.remote()
    second = installer.began()
    os.kill(_above(second), signal.SIGKILL)  # the worker
    third = installer.began()  # it is tried again
    assert eventually(lambda: not lives(second))
    assert lives(third)
    installer.go()
    assert ray.get(again) > 0
    assert installer.runs() == 3
    assert ray.get(use.remote()) > 0


def _above(pid: int) -> int:
    """The worker that runs this installer: it has it run by a shell."""
    for _ in range(2):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


PROGRAM = """
import sys
import nbray as ray
ray.init(num_cpus=1, include_dashboard=False)

@ray.remote(runtime_env={"uv": ["x"]})
def use():
    import nb_installed
    return 5

print(ray.get(use.remote()))
"""


def test_of_two_clusters_one_builds_and_the_other_follows_when_it_dies(installer):
    drivers = {
        who: subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NB_WHO": who},
        )
        for who in ("one", "two")
    }  # fmt: skip
    first = installer.began()
    builder = "one" if b"NB_WHO=one" in Path(f"/proc/{first}/environ").read_bytes() else "two"
    with drivers.pop(builder) as driver:
        driver.kill()
    (other,) = drivers.values()
    with other:
        second = installer.began()  # the other one builds now
        assert eventually(lambda: not lives(first))
        assert (second != first, installer.runs()) == (True, 2)
        installer.go()
        assert other.communicate()[0] == "5\n"


ATTACHED = """
import nbray as ray
ray.init(address={address!r})

@ray.remote(runtime_env={{"uv": ["x"]}})
def use():
    import nb_installed

ray.get(use.remote())
"""


def test_a_killed_driver_then_a_killed_node_then_another_node_makes_it(installer):
    ray.init(num_cpus=0, include_dashboard=False)
    address = ray.get_runtime_context().gcs_address

    def node():
        start = ["-m", "nbray", "start", "--address", address, "--num-cpus", "1", "--block"]
        return subprocess.Popen([sys.executable, *start], stdout=subprocess.DEVNULL)

    with node() as one:
        with subprocess.Popen([sys.executable, "-c", ATTACHED.format(address=address)]) as driver:
            first = installer.began()
            driver.kill()
        assert eventually(lambda: not lives(first))
        assert eventually(lambda: ray.available_resources().get("CPU") == 1)
        wanted = use.options(num_cpus=1).remote()
        second = installer.began()
        one.kill()
    assert eventually(lambda: not lives(second))
    with node() as other:
        third = installer.began()
        assert lives(third)
        installer.go()
        assert ray.get(wanted) > 0
        ray.shutdown()
        other.wait(30)
    assert installer.runs() == 3
