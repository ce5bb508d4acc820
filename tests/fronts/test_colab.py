"""Colab's versions: nbray installs beside them, and the quickstart runs, its panel included."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.front import Answer, Front, running
from fronts.places import COLAB, kernel_spec, python_of
from harness import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PINS = Path(__file__).with_name("colab.txt")


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(no_leaks: None) -> None:
    """Every module here is checked."""


def pins() -> dict[str, str]:
    lines = PINS.read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_nothing_of_colabs_was_replaced() -> None:
    """nbray was installed after these, with whatever it asks for."""
    program = (
        "import json, sys; from importlib.metadata import version;"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    asked = [python_of(COLAB), "-c", program, *pins(), "nbray"]
    found = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    assert found.pop("nbray")
    assert found == pins()


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory, _nothing_left: None
) -> Iterator[tuple[Front, Answer]]:
    data = tmp_path_factory.mktemp("jupyter")
    kernel_spec(data, "colab", python_of(COLAB))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(data))
        with running(
            "%load_ext nbray\n%nbray start --cpus 2", kernel_name="colab", cwd=str(data)
        ) as (opened, answer):
            yield opened, answer


def comms(front: Front, code: str) -> tuple[Answer, list[dict[str, Any]]]:
    """The answer to a cell, and the widgets' models that it opened."""
    seen: list[dict[str, Any]] = []
    file = front.file

    def also(message: dict[str, Any]) -> None:
        if message["msg_type"] == "comm_open":
            seen.append(message["content"]["data"]["state"])
        file(message)

    front.file = also  # type: ignore[method-assign]
    try:
        return front.run(code), seen
    finally:
        front.file = file  # type: ignore[method-assign]


def test_the_quickstarts_cells_run(front: tuple[Front, Answer]) -> None:
    opened, _ = front
    cells = json.loads((ROOT / "notebooks" / "quickstart.ipynb").read_text())["cells"]
    sources = ["".join(one["source"]) for one in cells if one["cell_type"] == "code"]
    assert len(sources) > 8
    for source in sources[1:-1]:  # the first starts the cluster, the last stops it
        answer = opened.run(source)
        assert not answer.error, f"{source}\n{answer.traceback}"
    assert "right" in "".join(answer.text for answer in opened.answers.values())


def test_the_panel_moves_and_has_its_buttons(front: tuple[Front, Answer]) -> None:
    opened, _ = front
    answer, models = comms(opened, "nbray.panel()")
    assert not answer.error, answer.traceback
    labels = {model.get("description") for model in models}
    assert {"+ Node", "Join line"} <= labels
    (shown,) = answer.displays.values()
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert "nbray-panel" in shown["text/html"]


def test_drawers_open_and_panels_let_go(front: tuple[Front, Answer]) -> None:
    """What differs between ipywidgets 7 and 8: which widgets there are, and options of theirs."""
    opened, _ = front
    answer = opened.run(
        "p = nbray.panel()\n"
        "for name in ('stop', 'join', 'jobs', 'stop'): p._controls._openers[name].click()\n"
        "print(p.drawer)\n"
        "import ipywidgets; box = ipywidgets.VBox([p])\n"
        "p._ipython_display_()\n"
        "for _ in range(9):\n"
        "    more = nbray.panel(); more._ipython_display_()\n"
        "    first = more if _ == 0 else first\n"
        "print(p.connected, first.gone, more.connected)"
    )
    assert not answer.error, answer.traceback
    assert answer.streams.split() == ["stop", "True", "True", "True"], answer.streams


def test_bars_and_errors(front: tuple[Front, Answer]) -> None:
    opened, _ = front
    bars, models = comms(
        opened,
        "import time\n@remote\ndef f(x):\n    time.sleep(0.2)\n    print('at', x)\n    return x\n"
        "sum(nbray.get([f.remote(i) for i in range(60)]))",
    )
    assert bars.result == "1770"
    assert models, "a bar moved"
    assert "60 lines" in bars.printed
    failed = opened.run("@remote\ndef g():\n    raise KeyError('lost')\nnbray.get(g.remote())")
    assert "KeyError" in failed.error + failed.traceback
    memory = opened.run("%nbray memory")
    assert not memory.error, memory.traceback
