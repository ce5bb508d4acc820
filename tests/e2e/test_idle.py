"""Clusters that nobody uses end by themselves, where that is wanted, and no others."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

import pytest
from e2e.cli import nbray, run
from harness import eventually

from nbray.engines import native

pytestmark = pytest.mark.slow

SHORT = "--idle-timeout=2"
LONGER = "--idle-timeout=8"
"""Long enough for a script to come, also on a busy machine."""


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(no_leaks: None) -> None:
    """Every module here is checked."""


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    nbray("stop")


def start(*more: str, **environ: str) -> None:
    done = nbray("start", "--head", "--port=0", "--num-cpus=1", *more, **environ)
    assert done.returncode == 0, done.stderr


def ended() -> bool:
    return not native.records()


def script(program: str) -> str:
    done = run([sys.executable, "-c", textwrap.dedent(program)])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("how", ["by the option", "by the environment", "with another node"])
def test_one_that_nobody_has_ever_used_ends(how: str) -> None:
    if how == "by the environment":
        start(NBRAY_IDLE_TIMEOUT="2")
    else:
        start(LONGER if how == "with another node" else SHORT)
    if how == "with another node":
        (first,) = native.records()
        joined = nbray(
            "start", f"--address={first.head_address}", f"--redis-password={first.secret}",
            "--num-cpus=1", f"--node-ip-address={first.node_ip}",
        )  # fmt: skip
        assert joined.returncode == 0, joined.stderr
    assert eventually(ended), native.records()


def test_one_that_works_or_is_looked_at_does_not() -> None:
    """Longer than the time-out, by a driver that does nothing, then by one that works."""
    start(LONGER)
    said = script(
        """
        import nbray, time
        nbray.init("auto")
        time.sleep(6)
        print(nbray.get(nbray.remote(lambda: time.sleep(4) or "worked").remote()))
        """
    )
    assert said == "worked"
    assert eventually(ended), "and it ends after the driver has gone"


def test_a_detached_actor_that_works_keeps_it() -> None:
    start(LONGER)
    script(
        """
        import nbray, time
        nbray.init("auto", namespace="n")
        @nbray.remote
        class A:
            def work(self): time.sleep(13)
        a = A.options(name="a", lifetime="detached").remote()
        a.work.remote()
        time.sleep(1)
        """
    )
    assert not eventually(ended, 8.5), "it still works"
    assert eventually(ended)


def test_on_a_hub_there_is_a_default_and_what_makes_no_sense_is_said() -> None:
    refused = nbray("start", "--head", "--port=0", NBRAY_IDLE_TIMEOUT="an hour")
    assert refused.returncode != 0
    assert "NBRAY_IDLE_TIMEOUT is a number of seconds" in refused.stderr
    joining = nbray("start", "--address=127.0.0.1:1", SHORT)
    assert joining.returncode == 2
    assert "a cluster ends with its head" in joining.stderr
