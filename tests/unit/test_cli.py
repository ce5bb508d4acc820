"""The command line: options, lines to paste, one sentence for each failure."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from nbray import cli
from nbray.clusters import local
from nbray.clusters.start_command import Started
from nbray.config import InitConfig, NodeRequest
from nbray.dashboard import launch
from nbray.dashboard.access import Access
from nbray.engines.parts import PlainInsight
from nbray.engines.scripted import ScriptedEngine
from nbray.events import NodeView, Snapshot
from nbray.exceptions import AuthenticationError, RaySystemError, VersionMismatchError
from nbray.runtime.shell.process.channel import Front

SECRET = "k" * 43


class Session(msgspec.Struct, frozen=True):
    """A session's record as the command line reads it."""

    node: int = 1
    head: bool = True
    address: str = "10.0.0.5:6379"
    head_address: str = "10.0.0.5:6379"
    secret: str = SECRET
    cluster: str = "c"
    node_ip: str = "10.0.0.5"
    directory: str = "/nowhere"
    dashboard: Front = Front(8265, "k")


class LateInsight(PlainInsight):
    """Shows one node after a moment."""

    looks = 0

    def snapshot(self) -> Snapshot:
        self.looks += 1
        if self.looks < 3:
            return Snapshot()
        return Snapshot(
            nodes=(NodeView(number=1, node_id="a" * 32, name="box", address="10.0.0.5"),)
        )


class FakeNative:
    """Stands in for nbray.engines.native."""

    def __init__(self) -> None:
        self.requests: list[NodeRequest] = []
        self.sessions: list[Session] = []
        self.warnings: list[str] = []
        self.error: Exception | None = None
        self.engine = ScriptedEngine()
        self.engine.insight = LateInsight()
        self.stopped: list[Session] = []
        self.polls = 0

    def settle(self, request: NodeRequest) -> tuple[NodeRequest, list[str]]:
        if isinstance(self.error, ValueError):
            raise self.error
        return msgspec.structs.replace(request, secret=request.secret or SECRET), self.warnings

    def start_node(self, request: NodeRequest) -> Session:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        if request.head:
            return Session(secret=request.secret)
        return Session(node=2, head=False, head_address=request.address, secret=request.secret)

    def records(self) -> Sequence[Session]:
        return self.sessions

    def find(self, address: str) -> Session | None:
        asked = address.rpartition(":")[2]
        if not asked.isdigit():
            raise ValueError(f"{address!r} is not an address")
        known = {one.address.rpartition(":")[2]: one for one in self.sessions}
        return known.get(asked)

    def alive(self, record: Session) -> bool:
        self.polls += 1
        if isinstance(self.error, KeyboardInterrupt):
            raise self.error
        return self.polls < 3

    def stop_session(self, record: Session, timeout: float) -> None:
        self.stopped.append(record)

    def start(self, config: InitConfig) -> ScriptedEngine:
        if self.error is not None:
            raise self.error
        assert (config.address, config.secret) == ("10.0.0.5:6379", SECRET)
        return self.engine


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> FakeNative:
    fake = FakeNative()
    monkeypatch.setattr(local, "native", lambda: fake)
    monkeypatch.setattr(cli, "_BLOCK_STEP", 0.001)
    return fake


def invoke(*argv: str, **more: Any) -> Result:
    result = CliRunner().invoke(cli.main, argv, **more)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_start_head_prints_the_lines_to_paste(native: FakeNative) -> None:
    result = invoke("start", "--head")
    assert result.exit_code == 0
    assert result.stderr == ""
    join = f"printf %s {SECRET} | nbray start --address=10.0.0.5:6379 --secret-file=-"
    assert join in [line.strip() for line in result.stdout.splitlines()]
    assert 'nbray.init(address="auto")' in result.stdout
    assert "_redis_password=..." in result.stdout
    assert "nbray stop" in result.stdout
    assert "http://127.0.0.1:8265/?key=k" in [line.strip() for line in result.stdout.splitlines()]
    assert native.requests == [NodeRequest(head=True, port=6379, secret=SECRET)]


@pytest.mark.parametrize("address", ["10.0.0.5:6379", "127.0.0.1:6379"])
def test_under_a_cell_nothing_that_stays_secret_is_printed(
    native: FakeNative, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    session = Session(head_address=address)
    monkeypatch.setattr(native, "start_node", lambda _: session)
    said = invoke("start", "--head").stdout
    assert f"A cluster runs at {address}." in said
    assert SECRET not in said
    assert "nbray join" in said
    (link,) = [line.strip() for line in said.splitlines() if "key=" in line]
    key = link.partition("key=")[2]
    assert key != "k", "a notebook is saved: the link holds a ticket"
    assert Access("k").opens(key)


@pytest.mark.parametrize("more", [[], ["--block"]])
def test_for_programs_it_is_a_line_of_json_without_the_secret(
    native: FakeNative, more: list[str]
) -> None:
    result = invoke("start", "--head", "--json", *more)
    line, *rest = result.stdout.splitlines()
    assert msgspec.json.decode(line, type=Started) == Started(
        address="10.0.0.5:6379", cluster="c", head=True, node=1, directory="/nowhere"
    )
    assert rest == (["the node has ended"] if more else [])
    assert SECRET not in result.output
    assert "key" not in result.output


def test_start_without_a_dashboard_says_what_there_is(
    native: FakeNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    for front, says in (
        (Front(), "nbray dashboard\n"),
        (Front(why="no port is free"), "nbray dashboard        # no port is free\n"),
    ):
        session = Session(dashboard=front)
        monkeypatch.setattr(native, "start_node", lambda _, session=session: session)
        result = invoke("start", "--head", "--include-dashboard=false")
        assert f"browser:\n    {says}" in result.stdout
        assert "key=" not in result.stdout


def test_the_dashboard_is_the_heads(native: FakeNative) -> None:
    invoke("start", "--head", "--dashboard-port", "9000")
    invoke("start", "--head", "--include-dashboard", "false")
    told = [(one.dashboard, one.dashboard_port) for one in native.requests]
    assert told == [(True, 9000), (False, 0)]
    result = invoke("start", "--address=h:1", "--redis-password=x", "--dashboard-port=9000")
    assert result.exit_code == 2
    assert "belongs to the head" in result.stderr
    assert len(native.requests) == 2


def test_every_option_arrives(native: FakeNative) -> None:
    options = (
        "--head --port 7000 --node-ip-address 172.17.0.2 --num-cpus 2 --num-gpus 0.5 "
        "--object-store-memory 1000000 --redis-password hush --insecure-password"
    )
    result = invoke("start", *shlex.split(options), "--resources", '{"disk": 2, "x": 0.5}')
    assert result.exit_code == 0
    assert native.requests == [
        NodeRequest(
            head=True,
            port=7000,
            node_ip="172.17.0.2",
            num_cpus=2.0,
            num_gpus=0.5,
            resources={"disk": 2.0, "x": 0.5},
            object_store_memory=1_000_000,
            secret="hush",
            insecure_password=True,
        )
    ]


def test_words_of_ray_that_change_nothing(native: FakeNative) -> None:
    flags = ("-v", "--log-style=pretty", "--log-color=false", "--ray-debugger-external")
    result = invoke("--logging-level=info", "start", "--head", '--labels={"zone": "a"}', *flags)
    assert result.exit_code == 0, result.stderr
    assert native.requests[0].labels == {"zone": "a"}
    assert result.stderr.splitlines() == [
        "--ray-debugger-external has no effect here: nbray has no such thing"
    ]
    assert "nbray start --address='10.0.0.5:6379'" in result.stdout
    assert invoke("stop", "-v").exit_code == 0


def test_the_environment_says_which_cluster(
    native: FakeNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    native.sessions += [Session()]
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert "not part of a cluster at 127.0.0.1:1" in invoke("status").stderr
    monkeypatch.setenv("RAY_ADDRESS", "localhost:6379")
    found = invoke("status", "-v").stdout
    assert "Total Usage:" in found
    assert "Node: " in found
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert invoke("status").exit_code == 0


def test_a_secret_with_spaces_is_quoted(native: FakeNative) -> None:
    result = invoke("start", "--head", "--redis-password", "correct horse")
    assert "printf %s 'correct horse' |" in result.stdout


def test_join(native: FakeNative) -> None:
    result = invoke("start", "--address=10.0.0.5:6379", "--redis-password=hush")
    assert result.exit_code == 0
    assert "node 2 of the cluster at 10.0.0.5:6379" in result.stdout
    assert "hush" not in result.stdout
    assert native.requests[0].port == 0
    assert not native.requests[0].head


def test_the_secret_may_come_from_standard_input(native: FakeNative) -> None:
    result = invoke("start", "--address=h:1", "--secret-file", "-", input="hush\n")
    assert result.exit_code == 0
    assert native.requests[0].secret == "hush"


def test_warnings_go_to_stderr(native: FakeNative) -> None:
    native.warnings.append("the password is easy to guess")
    result = invoke("start", "--head")
    assert result.exit_code == 0
    assert result.stderr == "Warning: the password is easy to guess\n"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["start"], "either --head"),
        (["start", "--head", "--address=h:1"], "either --head"),
        (["start", "--head", "--resources={disk: 2}"], "not JSON"),
        (["start", "--head", "--resources=[1]"], "not a JSON object"),
        (["start", "--head", '--resources={"disk": "2"}'], """'disk' is "2", not a number"""),
        (["start", "--head", '--resources={"disk": -1}'], "'disk' is -1"),
        (["start", "--head", '--resources={"disk": true}'], "'disk' is true"),
        (["start", "--head", '--resources={"disk": NaN}'], "'disk' is NaN"),
        (["start", "--head", '--resources={"CPU": 1}'], "--num-cpus"),
        (["start", "--head", "--labels={zone: a}"], "Expecting property name"),
        (["start", "--head", "--port=70000"], "70000"),
        (["start", "--head", "--num-cpus=-1"], "-1"),
        (["start", "--head", "--num-cpus=many"], "many"),
        (["start", "--head", "--redis-password="], "the secret is empty"),
        (["start", "--head", "--redis-password=x", "--secret-file=-"], "either --redis-password"),
        (["start", "--head", "--no-such-option"], "--no-such-option"),
        (["begin"], "begin"),
    ],
)
def test_asked_wrongly(native: FakeNative, argv: list[str], says: str) -> None:
    result = invoke(*argv, input="hush")
    assert result.exit_code == 2
    assert says in result.stderr
    assert native.requests == []


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("the cluster at h:1 has another secret"),
        VersionMismatchError("the head runs Python 3.12, this is 3.11"),
        RaySystemError("no head answers at h:1"),
        ConnectionError("no nbray listens at h:1"),
        OSError(98, "port 6379 on 10.0.0.5 is taken"),
        ValueError("'h' is not an address"),
    ],
)
def test_failure_is_one_sentence_on_stderr(native: FakeNative, error: Exception) -> None:
    native.error = error
    result = invoke("start", "--address=h:1", "--redis-password=x")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"Error: {getattr(error, 'strerror', None) or error}\n"
    assert "Errno" not in result.stderr


def test_block_waits_for_the_end(native: FakeNative) -> None:
    result = invoke("start", "--head", "--block")
    assert result.exit_code == 0
    assert native.requests[0].ends_with == os.getpid(), "or it would outlive a killed command"
    assert native.polls == 3
    assert native.stopped == []


def test_block_ends_the_node_when_interrupted(
    native: FakeNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(record: Session) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(native, "alive", interrupted)
    result = invoke("start", "--head", "--block")
    assert result.exit_code == 0
    assert len(native.stopped) == 1


def test_a_loopback_cluster_says_so(native: FakeNative, monkeypatch: pytest.MonkeyPatch) -> None:
    local = Session(address="127.0.0.1:6379", head_address="127.0.0.1:6379")
    monkeypatch.setattr(native, "start_node", lambda request: local)
    result = invoke("start", "--head")
    assert "on this machine only" in result.stdout
    assert "elsewhere" not in result.stdout


def test_status_shows_the_panel_and_leaves(native: FakeNative) -> None:
    native.sessions += [Session(), Session(node=2, head=False)]
    result = invoke("status")
    assert result.exit_code == 0
    assert "box" in result.stdout
    assert SECRET not in result.output
    assert native.engine.insight.looks == 3
    assert native.engine.ended


def test_join_prints_the_line_for_another_machine(native: FakeNative) -> None:
    native.sessions += [Session()]
    native.engine.cluster.join_line = lambda: "the line"  # type: ignore[attr-defined]
    result = invoke("join")
    assert result.stdout == "the line\n"
    assert native.engine.ended
    assert "not part of a cluster at h:1" in invoke("join", "--address=h:1").stderr


@pytest.mark.parametrize(
    ("argv", "after"),
    [
        (["start", "--redis-password=hush", "--block"], ["start", "FILE", "--block"]),
        (["start", "--redis-password", "hush", "--head"], ["start", "FILE", "--head"]),
        (["start", "--redis-pass=hush"], ["start", "FILE"]),
    ],
)
def test_the_secret_leaves_the_arguments(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], after: list[str]
) -> None:
    began: list[list[str]] = []
    monkeypatch.setattr(cli.sys, "orig_argv", ["python", "nbray", *argv])
    monkeypatch.setattr(cli.os, "execv", lambda _program, words: began.append(words))
    cli._hide_secret("hush")
    (words,) = began
    (file,) = [word for word in words if word.startswith("--secret-file=")]
    assert words[1:] == ["nbray", *(file if word == "FILE" else word for word in after)]
    assert Path(file.partition("=")[2]).read_text() == "hush"
    os.close(int(file.rpartition("/")[2]))


def test_arguments_without_the_secret_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.os, "execv", lambda *_: pytest.fail("it began again"))
    cli._hide_secret("hush")


def test_status_of_nothing(native: FakeNative) -> None:
    result = invoke("status")
    assert result.exit_code == 1
    assert "nbray start --head" in result.stderr


def test_status_when_the_head_does_not_answer(native: FakeNative) -> None:
    native.sessions.append(Session(node=2, head=False, address="10.0.0.6:4000"))
    native.error = RaySystemError("no head answers")
    result = invoke("status")
    assert result.exit_code == 1
    assert "node 2 on this machine at 10.0.0.6:4000" in result.stdout
    assert "no head answers" in result.stderr


@pytest.mark.parametrize(
    ("count", "says"), [(0, "no nbray runs"), (1, "stopped 1 node\n"), (2, "stopped 2 nodes\n")]
)
def test_stop(native: FakeNative, count: int, says: str) -> None:
    native.sessions += [Session()] * count
    result = invoke("stop")
    assert result.exit_code == 0
    assert says in result.stdout
    assert len(native.stopped) == count


def test_heads_are_stopped_last(native: FakeNative) -> None:
    native.sessions += [Session(), Session(node=2, head=False)]
    invoke("stop")
    assert [one.head for one in native.stopped] == [False, True]


def test_importing_it_brings_in_nothing_heavy() -> None:
    program = (
        "import sys, nbray.cli;"
        "print([n for n in ('zmq', 'numpy', 'IPython', 'jinja2', 'psutil') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_dashboard_prints_the_link_of_the_cluster_asked_for(
    native: FakeNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, int | None]] = []

    def of_session(session: Session, port: int | None) -> str:
        started.append((session.head_address, port))
        return "http://127.0.0.1:8265/?key=k"

    monkeypatch.setattr(launch, "of_session", of_session)
    monkeypatch.setattr(launch, "stop", lambda session: session.node == 1)
    native.sessions = [Session(), Session(head_address="10.0.0.6:6379")]
    assert invoke("dashboard").stdout == "http://127.0.0.1:8265/?key=k\n"
    invoke("dashboard", "--address", "10.0.0.6:6379", "--port", "9000")
    assert started == [("10.0.0.5:6379", None), ("10.0.0.6:6379", 9000)]
    assert "has ended; whoever opens its link" in invoke("dashboard", "--stop").stdout
    missing = invoke("dashboard", "--address", "1.2.3.4:5")
    assert missing.exit_code == 1
    assert "not part of a cluster at 1.2.3.4:5" in missing.stderr


def test_dashboard_without_a_cluster(native: FakeNative) -> None:
    result = invoke("dashboard")
    assert result.exit_code == 1
    assert "nbray start --head" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_jobs_lists_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    import nbray
    from nbray import jobs

    calls: list[object] = []
    monkeypatch.setattr(nbray.api, "init", lambda **given: calls.append(given))
    monkeypatch.setattr(nbray.api, "shutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr(jobs, "records", list)
    done = CliRunner().invoke(cli.main, ["jobs"])
    assert done.exit_code == 0, done.output
    assert "no named jobs" in done.output
    assert calls == [{"address": "auto", "log_to_driver": False}, "shutdown"]

    def none() -> list[object]:
        raise RaySystemError("no nbray runs on this machine")

    monkeypatch.setattr(jobs, "records", none)
    done = CliRunner().invoke(cli.main, ["jobs", "--address", "a:1"])
    assert done.exit_code == 1
    assert "no nbray runs" in done.output


def test_lines_as_records() -> None:
    done = CliRunner().invoke(cli.main, ["stop", "--log-style", "record", "--log-color", "false"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:]{8},\d{3} INFO nbray -- .*\n", done.stdout)


def test_usage_statistics_are_never_sent() -> None:
    for command in ("disable-usage-stats", "enable-usage-stats"):
        done = CliRunner().invoke(cli.main, [command])
        assert "sends nobody anything" in done.output


def test_symmetric_run_needs_a_program() -> None:
    for argv in ([], ["--"]):
        done = CliRunner().invoke(cli.main, ["symmetric-run", "--address", "localhost:1", *argv])
        assert done.exit_code == 1
    done = CliRunner().invoke(
        cli.main, ["symmetric-run", "--address", "localhost:1", "--head", "--", "true"]
    )
    assert "Cannot use --head" in done.output
