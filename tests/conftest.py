"""Fixtures of every test: the session's mark, and the checks that nothing is left behind."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator

import pytest
from harness import Traces, assert_nothing_left, run_directory, set_mark
from hypothesis import HealthCheck, settings

# Properties are tried with the same few examples every time; `make properties` tries fresh ones.
settings.register_profile("few", derandomize=True, max_examples=25, deadline=None)
settings.register_profile(
    "many", max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("NBRAY_PROPERTIES", "few"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Names of tests are the same in every process, so that files can be run side by side."""
    other = [item.nodeid for item in items if re.search(r"0x[0-9a-f]{6}", item.nodeid)]
    if other:
        raise pytest.UsageError(f"named by an address, which differs each time: {other[0]}")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = arranged(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Thousands of items stay to the end: `gc.collect()` need not look through them each time."""
    gc.freeze()


LAST = ("tests/unit/", "tests/architecture/")
"""Files that take little time each: they fill the end, when some processes have no more to do."""


def arranged(items: list[pytest.Item]) -> list[pytest.Item]:
    """The order in which files are given out: who needs the CPUs beside who waits, short ones last.

    What drives a browser is spread among what waits for other processes most of the time; the
    longest file of either kind comes first.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    browser = [name for name in reversed(files) if name.startswith("tests/browser/")]
    last = [name for name in files if name.startswith(LAST)]
    order = [name for name in files if name not in browser and name not in last]
    order.sort(key=lambda name: not name.startswith("tests/sim/"))
    for number, name in enumerate(browser):
        order.insert(number + number * (len(order) - number) // len(browser), name)
    return [item for name in [*order, *last] for item in files[name]]


@pytest.fixture(scope="session", autouse=True)
def mark() -> Iterator[str]:
    """The session's mark; at the session's end no process that carries it is left."""
    value = set_mark()
    os.environ.pop("VIRTUAL_ENV", None)  # of another environment, perhaps: IPython would warn
    # What was started in the background, or under nohup, ignores these, and so did its children.
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    before = Traces.now(value)
    yield value
    try:
        # what Ray leaves is Ray's
        if os.environ.get("NBRAY_TEST_ENGINES") not in {"ray", "real"}:
            assert_nothing_left(before, value)
    finally:
        shutil.rmtree(run_directory().parent, ignore_errors=True)


@pytest.fixture(scope="session")
def ray_cluster(mark: str) -> Iterator[str]:
    """The address of a Ray cluster, which takes seconds to start: all of this process share it."""
    del mark  # its processes carry the session's
    from ray_clusters import head

    import nbray

    with head() as address:
        yield address
        nbray.shutdown()


@pytest.fixture(scope="module")
def no_leaks(mark: str) -> Iterator[None]:
    """After the module's last test, whatever it started is gone."""
    before = Traces.now(mark)
    yield
    assert_nothing_left(before, mark)


@pytest.fixture(scope="module", autouse=True)
def _process_as_before(mark: str) -> Iterator[None]:
    """No module finds what another has left in this process: which share one is chance."""
    _reset_process()
    yield
    _reset_process()
    if not gc.get_freeze_count():  # the simulation thaws what it freezes
        gc.collect()
        gc.freeze()


def _reset_process() -> None:
    notebook = sys.modules.get("nbray.jupyter.notebook")
    if notebook is not None:
        notebook.current().cells.detach()
    threads = sys.modules.get("nbray.patches.threads")
    if threads is not None:
        threads.leave()
    session = sys.modules.get("nbray.session")
    if session is not None:
        session.cell.set("")
        session.run.set(None)
        session.halted = False
    signal.signal(signal.SIGINT, signal.default_int_handler)
