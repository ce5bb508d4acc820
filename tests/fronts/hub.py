"""A real JupyterHub with its proxy, and users who log in with a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from e2e.jupyter import free_port
from fronts.places import FRONTS, python_of
from harness import ROOT, private_folder, require_or_skip
from playwright.sync_api import Page

STARTUP = 120.0
BUILT = ROOT / "labextension" / "built"
USERS = ("ada", "grace")
CONFIG = """
import os
c = get_config()
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.should_start = True
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.default_url = {landing!r}
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--LabApp.extension_manager=readonly"]
c.Spawner.env_keep = sorted(os.environ)
def mine(spawner):
    home = {homes!r} + "/" + spawner.user.name
    spawner.environment = {{
        "HOME": home, "NBRAY_RUN_DIR": home + "/run", "IPYTHONDIR": home + "/ipython",
        "JUPYTER_CONFIG_DIR": home + "/config", "JUPYTER_DATA_DIR": home + "/data",
        "JUPYTER_RUNTIME_DIR": home + "/runtime", "JUPYTER_PLATFORM_DIRS": "1",
        "JUPYTERLAB_SETTINGS_DIR": home + "/settings",
        "JUPYTERLAB_WORKSPACES_DIR": home + "/spaces",
        "JUPYTER_PREFER_ENV_PATH": "0",  # what the user has switched off is off
    }}
c.Spawner.pre_spawn_hook = mine
c.JupyterHub.db_url = "sqlite:///" + {homes!r} + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = {homes!r} + "/cookie_secret"
c.ConfigurableHTTPProxy.pid_file = {homes!r} + "/proxy.pid"
c.JupyterHub.cleanup_servers = True
"""


def proxy_command() -> str:
    """configurable-http-proxy, which `make fronts` gets from npm."""
    path = FRONTS / "npm" / "node_modules" / ".bin" / "configurable-http-proxy"
    if not path.exists():
        require_or_skip("configurable-http-proxy is not installed (make fronts does so)")
    return str(path)


def equip(home: Path, proxied: bool) -> None:
    """A user's folders, with this checkout's sidebar and server part in them.

    *proxied*: with jupyter-server-proxy, which the environment has.
    """
    extensions, config = home / "data" / "labextensions", home / "config"
    enabled = config / "jupyter_server_config.d"
    for folder in (extensions, enabled, home / "settings", home / "runtime"):
        folder.mkdir(parents=True)
    if BUILT.exists():
        (extensions / "nbray").symlink_to(BUILT)
    shutil.copy(ROOT / "labextension" / "server.json", enabled / "nbray.json")
    if not proxied:
        (enabled / "jupyter-server-proxy.json").write_text(
            '{"ServerApp": {"jpserver_extensions": {"jupyter_server_proxy": false}}}'
        )
    news = home / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )


class Hub:
    """JupyterHub, its proxy, and two users: the first with jupyter-server-proxy, the second not."""

    def __init__(self, landing: str = "/lab") -> None:
        python = python_of(FRONTS)
        self.home = private_folder("nbt-hub-")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = self.home / "hub.log"
        for user in USERS:
            equip(self.home / user, proxied=user == USERS[0])
        config = self.home / "config.py"
        config.write_text(
            CONFIG.format(
                url=self.url, hub_port=free_port(), api_port=free_port(), python=python,
                proxy=proxy_command(), homes=str(self.home), landing=landing,
            )
        )  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, "-m", "jupyterhub", "-f", str(config)],
                cwd=self.home, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": f"{FRONTS / 'bin'}:{os.environ['PATH']}",
                     "CONFIGPROXY_AUTH_TOKEN": os.urandom(16).hex()},
            )  # fmt: skip

    def wait_until_up(self) -> None:
        """Return when the hub answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; carries its log.
        """
        deadline = time.monotonic() + STARTUP
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/hub/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError(f"the hub did not start:\n{self.log.read_text()[-4000:]}")

    def enter(self, page: Page, user: str) -> None:
        """Log in as *user* and wait until the user's own server is there."""
        page.goto(f"{self.url}/hub/login", timeout=60_000)
        page.locator("#username_input").fill(user)
        page.locator("#password_input").fill("any")
        page.locator("#login_submit").click()
        page.wait_for_url(f"**/user/{user}/**", timeout=STARTUP * 1000)

    def close(self) -> None:
        """End the hub with its proxy and servers."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.copy(self.log, ROOT / "artifacts" / "hub.log")
        shutil.rmtree(self.home, ignore_errors=True)
