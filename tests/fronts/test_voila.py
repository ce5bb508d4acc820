"""A page that voila makes of a notebook: its visitor sees the cluster, and cannot change it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.lab import notebook_of
from e2e.cli import environment
from e2e.jupyter import free_port
from fronts.places import FRONTS, python_of
from harness import ARTIFACTS, private_folder
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SLOW = 90_000
CELLS = (
    "%load_ext nbray\n%nbray start --cpus 1",
    "%nbray join",
    "nbray.dashboard()",
    "nbray.put(bytes(2_000_000))",
    "%nbray memory",
    "context = nbray.init()\ncontext",
    "nbray.panel()",
    (
        "import time\n@remote\ndef f(x):\n    time.sleep(1)\n    return x\n"
        "sum(nbray.get([f.remote(x) for x in range(6)]))"
    ),
    (
        "from nbray.engine import load\n"
        "from pathlib import Path\n"
        "all_of_them = load('native').records()\n"
        "known = [word for one in all_of_them for word in (one.secret, one.dashboard.key)]\n"
        "Path('told.txt').write_text(' '.join(known))\n"
        "print('all', 'done')"
    ),
)


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(no_leaks: None) -> None:
    """Every module here is checked."""


class Voila:
    """`voila work.ipynb`, on a free port."""

    def __init__(self, *more: str) -> None:
        python = python_of(FRONTS)
        self.home = private_folder("nbt-voila-")
        (self.home / "work.ipynb").write_text(json.dumps(notebook_of(*CELLS)))
        self.url = f"http://127.0.0.1:{free_port()}/"
        self.log = self.home / "voila.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, "-m", "voila", "work.ipynb", "--no-browser", "--debug",
                 f"--port={self.url.split(':')[2].strip('/')}", *more],
                cwd=self.home, stdout=log, stderr=subprocess.STDOUT,
                env=environment(HOME=str(self.home), JUPYTER_RUNTIME_DIR=str(self.home / "runtime"),
                                IPYTHONDIR=str(self.home / "ipython"), JUPYTER_PLATFORM_DIRS="1"),
            )  # fmt: skip

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}voila/static/nothing", timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()
                return
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise RuntimeError(f"voila did not start:\n{self.log.read_text()[-4000:]}")

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        ARTIFACTS.mkdir(exist_ok=True)
        shutil.copy(self.log, ARTIFACTS / "voila.log")
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module", params=["each visitor a kernel", "kernels made beforehand"])
def voila(_nothing_left: None, request: pytest.FixtureRequest) -> Iterator[Voila]:
    more = ("--preheat_kernel=True", "--pool_size=1") if "beforehand" in request.param else ()
    running = Voila(*more)
    try:
        running.wait_until_up()
        yield running
    finally:
        running.close()


def test_a_visitor_sees_the_cluster_and_gets_no_controls_and_no_secret(
    voila: Voila, page: Page
) -> None:
    heard: list[str] = []
    page.on("websocket", lambda socket: socket.on(
        "framereceived", lambda frame: heard.append(str(frame)))
    )  # fmt: skip
    page.goto(voila.url, timeout=SLOW)
    expect(page.locator("body")).to_contain_text("all done", timeout=SLOW)
    panel = page.locator(".nbray-panel").last
    expect(panel).to_be_visible(timeout=SLOW)
    expect(panel).to_contain_text("1 node")
    page.wait_for_timeout(2000)
    for label in ("+ Node", "− Node", "Stop a node", "Join line", "Jobs", "Actors", "Logs", "Free"):
        expect(page.get_by_role("button", name=label)).to_have_count(0)
    assert page.locator("button.jupyter-button").count() == 0
    path: Path = ARTIFACTS / "screens" / "voila.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
    seen = page.content() + "".join(heard)
    words = (voila.home / "told.txt").read_text().split()
    assert len(words) >= 2
    assert not [word for word in words if word in seen]
    assert "author" in page.locator("body").inner_text()
    assert "ButtonModel" not in seen, "not even a model that could be pressed"
