"""Links that are right where one works."""

from __future__ import annotations

import pickle

import pytest

from nbray.dashboard.links import SERVED, UNSURE, Link, hosts, link, prefix, served, serves


def test_on_ones_own_machine() -> None:
    assert link(8265, "k", {}) == "http://127.0.0.1:8265/?key=k"


def test_on_a_hub_that_says_its_name() -> None:
    environ = {
        "JUPYTERHUB_SERVICE_PREFIX": "/user/x/",
        "JUPYTERHUB_PUBLIC_URL": "https://hub.example.org/user/x/",
    }
    assert link(8265, "k", environ) == "https://hub.example.org/user/x/proxy/8265/?key=k"


def test_on_a_hub_or_binder_that_does_not() -> None:
    environ = {"JUPYTERHUB_SERVICE_PREFIX": "/user/jupyterlab-demo-abc1/"}
    assert link(8266, "k", environ) == "/user/jupyterlab-demo-abc1/proxy/8266/?key=k"
    assert prefix(environ) == "/user/jupyterlab-demo-abc1/"
    assert prefix({"JUPYTERHUB_SERVICE_PREFIX": "/"}) == ""


def test_as_a_cell_shows_it() -> None:
    shown = Link("/user/<x>/proxy/1/?key=a&b")
    html = shown._repr_html_()
    assert 'href="/user/&lt;x&gt;/proxy/1/?key=a&amp;b"' in html
    assert "key" not in html.partition("</a>")[2]
    assert shown.url in repr(shown)
    assert "key" in repr(shown)
    assert str(shown) == shown.url


def test_further_names() -> None:
    assert hosts({"NBRAY_DASHBOARD_HOSTS": "a.b, c.d,"}) == ["a.b", " c.d"]
    assert hosts({}) == []


HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}
PUBLIC = {**HUB, "JUPYTERHUB_PUBLIC_URL": "https://hub.example.org/user/ada/"}


@pytest.mark.parametrize(
    ("environ", "text", "path"),
    [
        # a notebook of a Jupyter server on this machine, or one behind anybody's proxy
        ({SERVED: "7:/", "JPY_PARENT_PID": "7"}, "http://127.0.0.1:1/?key=k",
         "/nbray-dashboard/c/"),
        ({SERVED: "7:/x/y/", "JPY_PARENT_PID": "7"}, "http://127.0.0.1:1/?key=k",
         "/x/y/nbray-dashboard/c/"),
        # its terminal
        ({SERVED: "7:/x/"}, "http://127.0.0.1:1/?key=k", "/x/nbray-dashboard/c/"),
        # on a hub, which may say under which name it is reached
        ({**HUB, SERVED: "7:/user/ada/"}, "/user/ada/nbray-dashboard/c/",
         "/user/ada/nbray-dashboard/c/"),
        ({**PUBLIC, SERVED: "7:/user/ada/"},
         "https://hub.example.org/user/ada/nbray-dashboard/c/", "/user/ada/nbray-dashboard/c/"),
    ],
)  # fmt: skip
def test_where_the_pages_own_server_serves_it(
    environ: dict[str, str], text: str, path: str
) -> None:
    made = link(1, "k", environ, "c")
    assert (made, made.path, made.note) == (text, path, "")
    assert f'href="{path}"' in made._repr_html_()
    assert "key=" not in made._repr_html_() + repr(made), "it may be saved"
    again = pickle.loads(pickle.dumps(made))
    assert (again, again.path) == (made, made.path)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {SERVED: "7:/x/", "JPY_PARENT_PID": "8"},  # inherited: another server's kernel
        {SERVED: "", "JPY_PARENT_PID": "8"},
        {SERVED: "what is this"},
    ],
)
def test_where_it_does_not(environ: dict[str, str]) -> None:
    assert served(environ) == ""
    assert link(1, "k", environ, "c").path == ""
    on_hub = link(1, "k", {**environ, **HUB}, "c")
    assert on_hub == "/user/ada/proxy/1/?key=k"
    assert UNSURE in repr(on_hub)
    assert "install nbray" in on_hub._repr_html_()


def test_a_server_and_its_kernel_agree() -> None:
    environ = {SERVED: serves(4711, "/user/ada%40b/"), "JPY_PARENT_PID": "4711"}
    assert served(environ) == "/user/ada%40b/"
    assert link(1, "k", environ).path == "", "the cluster has no id yet"
