"""Who sees what a cell shows, and what is shown to whom."""

from __future__ import annotations

from typing import Any

import pytest
from fake_kernel import Kernel, Shell

from nbray.dashboard import launch
from nbray.dashboard.links import Link
from nbray.jupyter.cells.audience import Audience, audience, judge
from nbray.jupyter.cluster_magic import JoinLine
from nbray.jupyter.notebook import current

EDITOR = Audience()
VISITOR = Audience(widgets=True, controls=False, secrets=False)
NOBODY = Audience(widgets=False, controls=False)
VOILA = {"VOILA_BASE_URL": "/"}


def request(**content: Any) -> dict[str, Any]:
    return {"header": {"msg_type": "execute_request"}, "content": content}


@pytest.mark.parametrize(
    ("environ", "asked", "seen_by"),
    [
        ({}, request(allow_stdin=True), EDITOR),  # JupyterLab, Notebook 7, VS Code
        ({}, request(), EDITOR),
        ({}, {}, EDITOR),
        ({}, request(allow_stdin=False), NOBODY),  # nbclient, nbconvert, papermill, nbval
        (VOILA, request(allow_stdin=False), VISITOR),
        ({"VOILA_REQUEST_URL": "http://x/"}, request(allow_stdin=True), VISITOR),
        ({"VOILA_PREHEAT": "True"}, {}, VISITOR),
        ({"SERVER_SOFTWARE": "voila/0.5.13"}, request(), VISITOR),
        ({"SERVER_SOFTWARE": "nginx"}, request(), EDITOR),
        ({"NBRAY_CONTROLS": "0"}, request(), Audience(controls=False)),
        ({"NBRAY_CONTROLS": "No"}, request(), Audience(controls=False)),
        ({"NBRAY_CONTROLS": "1"}, request(), EDITOR),
        ({"NBRAY_CONTROLS": ""}, request(), EDITOR),
        ({"NBRAY_CONTROLS": "1", **VOILA}, request(), VISITOR),
    ],
)
def test_who_it_is(environ: dict[str, str], asked: dict[str, Any], seen_by: Audience) -> None:
    assert judge(environ, asked) == seen_by


def test_a_terminal_is_an_editor_too() -> None:
    assert audience(None).secrets


@pytest.fixture(params=sorted(VOILA))
def visited(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setenv(request.param, "/")
    kernel = Kernel()
    current().cells.attach(Shell(kernel))
    return kernel


def test_a_visitor_is_told_no_secret(visited: Kernel) -> None:
    line = JoinLine("nbray start --address=1.2.3.4:5 --redis-password=hush")
    assert "hush" not in repr(line)
    assert "author" in repr(line)
    link = Link("http://127.0.0.1:8265/?key=hush")
    assert "hush" not in repr(link) + link._repr_html_()
    assert launch.known(object()) == (None, "")  # type: ignore[arg-type]
    assert str(line).endswith("hush"), "the author's own code goes on as ever"
    current().cells.detach()


def test_in_a_batch_run_the_author_may_print_what_he_likes() -> None:
    kernel = Kernel()
    kernel.request = request(allow_stdin=False)
    assert audience(kernel) == NOBODY
    assert audience(kernel).secrets
