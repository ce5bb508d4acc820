"""A Jupyter server with nbray's extension in it, spoken to as a page does."""

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
from typing import Any

from harness import ROOT, private_folder

STARTUP = 120.0


def free_port() -> int:
    """A TCP port on loopback that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`jupyter server` under a path prefix, as on a hub, with a token and folders of its own."""

    def __init__(self, proxy: bool = True, **variables: str) -> None:
        """*proxy*: with jupyter-server-proxy, where it is installed."""
        self.home = private_folder("nbt-server-")
        self.token = secrets.token_hex(16)
        self.base = f"http://127.0.0.1:{free_port()}/user/ada/"
        self.log = self.home / "server.log"
        config = self.home / "config" / "jupyter_server_config.d"
        config.mkdir(parents=True)
        shutil.copy(ROOT / "labextension" / "server.json", config / "nbray.json")
        if not proxy:
            off = {"ServerApp": {"jpserver_extensions": {"jupyter_server_proxy": False}}}
            (config / "jupyter-server-proxy.json").write_text(json.dumps(off))
        (self.home / "work").mkdir()
        self.kernels = self.home / "data" / "kernels"
        mine = {
            "HOME": str(self.home),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "JUPYTER_PREFER_ENV_PATH": "0",  # what is switched off here is off
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "jupyter_server",
                    "--no-browser",
                    "--allow-root",
                    "--ServerApp.ip=127.0.0.1",
                    f"--ServerApp.port={self.base.split(':')[2].partition('/')[0]}",
                    "--ServerApp.port_retries=0",
                    "--ServerApp.base_url=/user/ada/",
                    f"--IdentityProvider.token={self.token}",
                    f"--ServerApp.root_dir={self.home / 'work'}",
                ],
                cwd=self.home,
                env={**os.environ, **mine, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_up(self) -> None:
        """Return when it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; carries its log.
        """
        deadline = time.monotonic() + STARTUP
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("GET", "api")
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the server did not start:\n{self.log.read_text()[-4000:]}")

    def ask(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> tuple[int, Any]:
        """(status, decoded answer) of a request; with another *token*, or none for ''."""
        token = self.token if token is None else token
        request = urllib.request.Request(
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {token}"} if token else {},
        )
        try:
            with urllib.request.urlopen(request, timeout=150) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, text.decode(errors="replace")

    def close(self) -> None:
        """End the server and its kernels, and remove its folders."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
