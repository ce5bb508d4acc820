"""What one nbray asks another one's command line, and one sentence for each failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nbray import cli
from nbray.clusters import local
from nbray.clusters.launcher import Interpreter, Refused
from nbray.clusters.start_command import arguments, run, sentence
from nbray.config import NodeRequest
from nbray.exceptions import RaySystemError

HEAD = NodeRequest(
    head=True, port=7000, node_ip="10.0.0.5", num_cpus=2.0, num_gpus=0.5,
    resources={"disk": 2.0}, object_store_memory=10**6, max_workers=3, secret="hush",
    insecure_password=True, dashboard=False, idle_timeout=60.0,
)  # fmt: skip


@pytest.mark.parametrize(
    "request_",
    [
        HEAD,
        NodeRequest(head=True, secret="hush", dashboard_port=9000),
        NodeRequest(head=False, address="h:1", num_cpus=0.1, num_gpus=0.0, secret="hush"),
    ],
)
def test_the_command_line_asks_for_the_same(
    request_: NodeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`nbray.cli` reads from the arguments what they were made of."""
    asked: list[NodeRequest] = []

    class Native:
        def settle(self, request: NodeRequest) -> tuple[NodeRequest, list[str]]:
            asked.append(request)
            raise RaySystemError("enough")

    monkeypatch.setattr(local, "native", Native)
    words = arguments(request_)
    assert not [word for word in words if "hush" in word], "arguments can be read by anybody"
    CliRunner().invoke(cli.main, ["start", *words], input="hush")
    assert asked == [request_]


def test_what_does_not_answer_as_expected_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be run: No such file"):
        run(Interpreter(str(tmp_path / "none"), {}), HEAD)
    with pytest.raises(Refused, match="install the same version in both"):
        run(Interpreter("/bin/echo", {}), HEAD)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/env/bin/python: No module named nbray", "run `/env/bin/python -m pip install nbray`"),
        ("Warning: weak\nError: the port 6379 is taken\n", "the port 6379 is taken"),
        ("Traceback\nKeyError: 'x'", "KeyError: 'x'"),
        ("", "/env/bin/python ended without a word"),
    ],
)
def test_a_failed_command_in_one_sentence(said: str, told: str) -> None:
    assert sentence("/env/bin/python", said).endswith(told)
