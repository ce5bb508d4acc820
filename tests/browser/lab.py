"""A real JupyterLab, and a notebook open in it as a user sees it.

Owns the server's process and the gestures: open, run a cell, press Stop, read
what is on the screen. Everything goes through the page; nothing reaches into
the kernel.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from harness import ARTIFACTS, KEPT, ROOT, private_folder
from playwright.sync_api import Error, Locator, Page, expect
from playwright.sync_api import TimeoutError as TooLong

STARTUP = 120.0
BUILT = ROOT / "labextension" / "built"
"""Where the sidebar's build is, if it has been built."""
HAS_RUN = r"""index => {
    const cells = document.querySelectorAll('.jp-Notebook .jp-CodeCell');
    const prompt = cells[index < 0 ? cells.length + index : index].querySelector('.jp-InputPrompt');
    return prompt !== null && /^\[\d+\]:$/.test(prompt.textContent.trim());
}"""
"""Whether the prompt of a cell is that of one that has run; looked at in the page, which costs a
hundredth of asking it each time."""
SETTINGS: dict[str, dict[str, Any]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # every cell in the page, not only those near the screen
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
}


def chromium() -> str:
    """Path of the system's Chromium ('' if there is none)."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), "")


def cleared(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook without outputs, as before its first run."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return notebook


def notebook_of(*cells: str) -> dict[str, Any]:
    """A notebook with these code cells."""
    return {
        "cells": [
            {"cell_type": "code", "source": source, "metadata": {}, "outputs": [],
             "execution_count": None, "id": f"cell{number}"}
            for number, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip


class Lab:
    """A JupyterLab server with folders of its own, on a free port, with a token."""

    def __init__(self, notebooks: Path) -> None:
        self.home = private_folder("nbt-lab-")
        self.root = self.home / "work"
        shutil.copytree(notebooks, self.root, ignore=shutil.ignore_patterns(".*"))
        for path in self.root.glob("*.ipynb"):
            path.write_text(json.dumps(cleared(json.loads(path.read_text()))))
        self._settings = self.home / "settings"
        for name, values in SETTINGS.items():
            self.setting(name, values)
        self._sidebar()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{port}"
        self.log = self.home / "lab.log"
        variables = {
            "HOME": str(self.home),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self._settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.home / "workspaces"),
            "JUPYTER_PREFER_ENV_PATH": "0",  # an installed sidebar may be an older one
        }
        options = [
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.root}",
            "--LabApp.extension_manager=readonly",
            "--LabApp.expose_app_in_browser=True",  # for `theme`
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options],
                cwd=self.root,
                env={**os.environ, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        KEPT.add(self.process.pid)

    def setting(self, name: str, values: dict[str, Any]) -> None:
        """Set one of JupyterLab's settings, from the page's next load on."""
        path = self._settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def _sidebar(self) -> None:
        """Have this checkout's sidebar found, as an installed one is; built by `make sidebar`."""
        extensions = self.home / "data" / "labextensions"
        config = self.home / "config" / "jupyter_server_config.d"
        for folder in (extensions, config):
            folder.mkdir(parents=True)
        if BUILT.exists():
            (extensions / "nbray").symlink_to(BUILT)
        shutil.copy(ROOT / "labextension" / "server.json", config / "nbray.json")

    def wait_until_up(self) -> None:
        """Return when the server answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; carries its log.
        """
        deadline = time.monotonic() + STARTUP
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/api?token={self.token}", timeout=20):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text()[-4000:]}")

    def close(self) -> None:
        """End the server and its kernels, and remove its folders."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        KEPT.discard(self.process.pid)
        ARTIFACTS.mkdir(exist_ok=True)
        where = os.environ.get("PYTEST_XDIST_WORKER", "alone")
        shutil.copy(self.log, ARTIFACTS / f"jupyterlab-{where}.log")
        shutil.rmtree(self.home, ignore_errors=True)


class Notebook:
    """One notebook open in the page; cells are counted among the code cells, from 0.

    Alone in it ('doc'), or with sidebars and status bar ('lab').
    """

    def __init__(self, page: Page, lab: Lab, name: str, mode: str = "doc") -> None:
        self.page = page
        self.lab = lab
        page.goto(f"{lab.url}/{mode}/tree/{name}?token={lab.token}&reset", wait_until="commit")
        self.cells = page.locator(".jp-Notebook .jp-CodeCell")
        self._opened(name)
        # JupyterLab draws the cells anew when its settings arrive
        while not page.locator(".jp-CodeCell[data-stays]").count():
            self.cells.first.evaluate("cell => cell.dataset.stays = 'yes'")
            page.wait_for_timeout(1_000)

    def _opened(self, name: str) -> None:
        cells = json.loads((self.lab.root / name).read_text())["cells"]
        count = sum(cell["cell_type"] == "code" for cell in cells)
        expect(self.cells).to_have_count(count, timeout=120_000)
        self.idle()

    def leave(self) -> None:
        """Close whatever is open in JupyterLab, and end its kernel; the page stays."""
        self.page.evaluate(
            """() => {
                for (const one of [...window.jupyterapp.shell.widgets('main')]) {
                    if (one.context?.model) one.context.model.dirty = false;
                    one.close();
                }
            }"""
        )
        expect(self.cells).to_have_count(0)
        self._end_kernels()

    def again(self, name: str) -> None:
        """Open the notebook *name* as it is on the disk, after `leave`."""
        self.page.evaluate(
            """name => window.jupyterapp.commands.execute(
                'docmanager:open', {path: name, factory: 'Notebook'}).then(() => true)""",
            name,
        )
        self._opened(name)

    def idle(self, timeout: float = 120) -> None:
        """Wait until the kernel has nothing to do."""
        status = self.page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']")
        expect(status.first).to_be_visible(timeout=timeout * 1000)

    def cell(self, index: int) -> Locator:
        """The code cell *index* (negative: from the end)."""
        return self.cells.nth(index)

    def sources(self) -> list[str]:
        """The text of every code cell."""
        return self.cells.locator(".cm-content").all_inner_texts()

    def failed(self, index: int) -> bool:
        """Whether cell *index* shows an error, or anything on stderr."""
        shown = self.cell(index).locator("[data-mime-type='application/vnd.jupyter.stderr']")
        return shown.count() > 0

    def find(self, text: str) -> int:
        """Index of the first code cell whose source contains *text*.

        Raises:
            AssertionError: no cell does.
        """
        for index, source in enumerate(self.sources()):
            if text in source:
                return index
        raise AssertionError(f"no cell contains {text!r}")

    def start(self, index: int) -> None:
        """Run cell *index*, as Ctrl+Enter does; does not wait."""
        cell = self.cell(index)
        try:
            cell.scroll_into_view_if_needed()
        except Error:  # the page put another element in its place meanwhile
            cell.scroll_into_view_if_needed()
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def prompt(self, index: int) -> str:
        """'[ ]:', '[*]:' or '[7]:'."""
        return self.cell(index).locator(".jp-InputPrompt").inner_text().strip()

    def finished(self, index: int, timeout: float = 120) -> str:
        """Wait until cell *index* has run; its output as text."""
        try:  # `expect` looks only once a second
            self.page.wait_for_function(HAS_RUN, arg=index, polling=50, timeout=1000 * timeout)
        except TooLong as error:
            raise AssertionError(f"cell {index} still runs: {self.output(index)}") from error
        return self.output(index)

    def run(self, index: int, timeout: float = 120) -> str:
        """Run cell *index* and wait; its output as text."""
        before = self.prompt(index)
        self.start(index)
        if before[1:2].isdigit():  # it has run already: see the prompt change first
            expect(self.cell(index).locator(".jp-InputPrompt")).not_to_have_text(before)
        return self.finished(index, timeout)

    def output(self, index: int) -> str:
        """What is shown under cell *index*, as text."""
        return "\n".join(self.cell(index).locator(".jp-OutputArea-output").all_inner_texts())

    def append(self, source: str) -> int:
        """Add a code cell with *source* at the end; its index."""
        last = self.cells.count() - 1
        count = self.cells.count()
        self.cell(last).locator(".cm-content").click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("b")
        expect(self.cells).to_have_count(count + 1)
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(source)
        return last + 1

    def stop(self) -> None:
        """Press the toolbar's Stop button."""
        self.page.locator("[data-command='notebook:interrupt-kernel']").first.click()

    def restart(self) -> None:
        """Press the toolbar's Restart button, agree, and wait until the new kernel is there."""
        self.page.evaluate(
            """() => {
                const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                window.restarted = {begun: false, kernel};
                kernel.statusChanged.connect((_, status) => {
                    if (status === 'restarting') window.restarted.begun = true;
                });
            }"""
        )
        self.page.locator("[data-command='notebook:restart-kernel']").first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_function(
            """() => window.restarted.begun && window.restarted.kernel.status === 'idle'
                     && window.restarted.kernel.connectionStatus === 'connected'""",
            timeout=120_000,
        )
        self.idle()

    def theme(self, dark: bool) -> None:
        """Switch to JupyterLab's dark theme, or back to the light one."""
        self.page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})",
            "JupyterLab Dark" if dark else "JupyterLab Light",
        )
        expect(self.page.locator("body")).to_have_attribute(
            "data-jp-theme-light", "false" if dark else "true"
        )
        self.page.wait_for_timeout(500)

    def screenshot(self, name: str, index: int | None = None) -> Path:
        """Save the page as artifacts/screens/NAME.png, the end of cell *index* in sight."""
        if index is not None:
            self.cell(index).evaluate("cell => cell.scrollIntoView({block: 'end'})")
        path = ARTIFACTS / "screens" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
        return path

    def close(self) -> None:
        """Shut the kernel down, as closing its tab and kernel does."""
        self._end_kernels()
        self.page.goto("about:blank")

    def _end_kernels(self) -> None:
        self.page.evaluate(
            """async () => {
                const list = await (await fetch('/api/sessions')).json();
                const xsrf = document.cookie.match(/_xsrf=([^;]*)/);
                for (const s of list) await fetch('/api/sessions/' + s.id, {
                    method: 'DELETE', headers: {'X-XSRFToken': xsrf ? xsrf[1] : ''}});
            }"""
        )
