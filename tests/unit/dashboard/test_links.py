"""Links that are right where one works."""

from __future__ import annotations

from nbray.dashboard.links import Link, hosts, link, prefix


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
