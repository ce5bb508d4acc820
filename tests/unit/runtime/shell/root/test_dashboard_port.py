"""The dashboard's port before anybody looks: who wakes what, and what happens after bad ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from harness import eventually

from nbray.runtime.shell.root import dashboard_port as module
from nbray.runtime.shell.root.dashboard_port import LONGEST_PAUSE, STEADY, DashboardPort

FAILED = 1 << 8
"""The wait status of a process that exited with 1."""


class Spawner:
    """Stands in for the process."""

    def __init__(self) -> None:
        self.orders: list[dict[str, object]] = []
        self.error: OSError | None = None

    def __call__(self, directory: Path, order: bytes, listening: int) -> int:
        if self.error is not None:
            raise self.error
        self.orders.append(msgspec.json.decode(order))
        assert self.orders[-1]["listening"] == listening
        return 1_000_000 + len(self.orders)

    @property
    def pid(self) -> int:
        return 1_000_000 + len(self.orders)


@pytest.fixture
def spawner() -> Spawner:
    return Spawner()


@pytest.fixture
def poll() -> select.poll:
    return select.poll()


@pytest.fixture
def dash(tmp_path: Path, poll: select.poll, spawner: Spawner) -> Iterator[DashboardPort]:
    made = DashboardPort(tmp_path, poll, spawner)
    made.bind()
    yield made
    made.close()


def come(dash: DashboardPort) -> socket.socket:
    visitor = socket.create_connection(("127.0.0.1", dash.front.port), 20)
    visitor.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return visitor


def heard(visitor: socket.socket) -> str:
    answer = b""
    with visitor:
        while part := visitor.recv(65536):
            answer += part
    return answer.decode()


def looked_at(poll: select.poll, dash: DashboardPort) -> bool:
    return dash.fd in dict(poll.poll(20_000 if dash.fd >= 0 else 0))


def test_whoever_comes_first_wakes_the_process_and_waits(
    dash: DashboardPort, poll: select.poll, spawner: Spawner, tmp_path: Path
) -> None:
    assert poll.poll(0) == []
    with come(dash) as visitor:
        assert looked_at(poll, dash)
        dash.wake(5.0)
        assert spawner.orders == [
            {
                "directory": str(tmp_path), "port": dash.front.port, "key": dash.front.key,
                "listening": dash.fd,
            }
        ]  # fmt: skip
        assert poll.poll(0) == [], "the socket is the process's now"
        dash.wake(6.0)
        assert len(spawner.orders) == 1
        visitor.setblocking(False)
        with pytest.raises(BlockingIOError):
            visitor.recv(1)


def test_after_an_orderly_end_the_next_one_wakes_another(
    dash: DashboardPort, poll: select.poll, spawner: Spawner
) -> None:
    with come(dash):
        dash.wake(5.0)
        dash.ended(77, FAILED, 6.0)  # some other child of root's
        assert poll.poll(0) == []
        dash.ended(spawner.pid, 0, 6.0)
        assert looked_at(poll, dash), "whoever still waits is not forgotten"
        dash.wake(6.0)
    assert len(spawner.orders) == 2


def test_bad_ends_are_answered_logged_and_followed_by_pauses(
    dash: DashboardPort, spawner: Spawner, tmp_path: Path
) -> None:
    now, pauses = 100.0, []
    for _ in range(10):
        visitor = come(dash)
        before = len(spawner.orders)
        dash.wake(now)
        assert len(spawner.orders) == before + 1
        dash.ended(spawner.pid, FAILED, now)
        answer = heard(visitor)
        assert answer.startswith("HTTP/1.1 503 ")
        assert "`nbray dashboard`" in answer
        assert dash.front.key not in answer
        log = (tmp_path / "dashboard.log").read_text()
        pauses.append(float(log.rpartition(" try in ")[2].split()[0]))
        if pauses[-1]:
            early = come(dash)
            dash.wake(now + pauses[-1] - 0.01)
            assert "503" in heard(early)
            assert len(spawner.orders) == before + 1, "it rests"
        now += pauses[-1]
    assert pauses[:4] == [0, 1, 2, 4]
    assert pauses[-1] == LONGEST_PAUSE
    assert "exit code 1" in (tmp_path / "dashboard.log").read_text()
    # One that served for a while was well: its end is a first one again.
    come(dash).close()
    dash.wake(now)
    dash.ended(spawner.pid, signal.SIGKILL, now + STEADY)
    come(dash).close()
    dash.wake(now + STEADY)
    assert len(spawner.orders) == 12


def test_a_process_that_cannot_be_started_is_a_bad_end_too(
    dash: DashboardPort, poll: select.poll, spawner: Spawner, tmp_path: Path
) -> None:
    spawner.error = OSError(11, "Resource temporarily unavailable")
    visitor = come(dash)
    dash.wake(5.0)
    assert "503" in heard(visitor)
    assert "temporarily unavailable" in (tmp_path / "dashboard.log").read_text()
    assert poll.poll(0) == []
    spawner.error = None
    come(dash).close()
    assert looked_at(poll, dash)
    dash.wake(5.0)
    assert len(spawner.orders) == 1


def test_the_next_port_is_taken_and_none_is_no_error(
    dash: DashboardPort, tmp_path: Path, poll: select.poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = DashboardPort(tmp_path, poll)
    second.bind()
    assert second.front.port > dash.front.port
    assert second.front.key != dash.front.key
    with pytest.raises(OSError, match=f"port {dash.front.port} cannot be used for the dashboard"):
        DashboardPort(tmp_path, poll).bind(dash.front.port)
    monkeypatch.setattr(module, "DASHBOARD_PORT", dash.front.port)
    monkeypatch.setattr(module, "DASHBOARD_PORTS", 1)
    third = DashboardPort(tmp_path, poll)
    third.bind()
    assert (third.fd, third.front.port, third.front.key) == (-1, 0, "")
    assert "in use" in third.front.why
    third.wake(1.0)
    third.end()
    second.close()


def test_a_child_that_closes_it_leaves_it_to_its_parent(
    dash: DashboardPort, poll: select.poll
) -> None:
    pid = os.fork()
    if not pid:
        dash.close()
        os._exit(0)
    os.waitpid(pid, 0)
    with come(dash):
        assert looked_at(poll, dash)


def test_its_end_frees_the_port_and_tells_the_process(
    tmp_path: Path, poll: select.poll
) -> None:
    hears = [signal.SIGHUP]  # whatever these tests were started with, as `nohup`
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ, setsigdef=hears)
    dash = DashboardPort(tmp_path, poll, lambda *_: pid)
    dash.bind()
    come(dash).close()
    dash.wake(1.0)
    port = dash.front.port
    dash.end()
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGHUP
    dash.ended(pid, status, 2.0)
    dash.end()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_the_process_gets_its_orders_and_the_socket(
    tmp_path: Path, poll: select.poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import json, socket, sys; order = json.load(sys.stdin); "
        "listening = socket.socket(fileno=order['listening']); listening.setblocking(True); "
        "visitor, _ = listening.accept(); visitor.recv(65536); "
        "visitor.sendall(order['key'].encode()); sys.stderr.write('told')"
    )
    monkeypatch.setattr(module, "_PROGRAM", program.replace("{", "{{").replace("}", "}}"))
    dash = DashboardPort(tmp_path, poll)
    dash.bind()
    visitor = come(dash)
    dash.wake(time.monotonic())
    visitor.settimeout(60)
    assert heard(visitor) == dash.front.key
    assert not os.get_inheritable(dash.fd)
    pid, status = os.waitpid(dash._pid, 0)
    dash.ended(pid, status, time.monotonic())
    assert eventually(lambda: (tmp_path / "dashboard.log").read_text() == "told")
    dash.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="only Linux can do it")
@pytest.mark.parametrize("count", [1, 30])
def test_who_says_nothing_wakes_nobody(dash: DashboardPort, poll: select.poll, count: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", dash.front.port), 20) for _ in range(count)]
    assert poll.poll(300) == []
    visitor = come(dash)
    assert poll.poll(5000)
    for one in (visitor, *silent):
        one.close()
