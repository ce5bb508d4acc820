"""Arguments of the verbs, and the session they start."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

import nbray
from nbray import arguments, session
from nbray.config import InitConfig


@pytest.fixture
def fresh(monkeypatch):
    """No session before or after."""
    for name in ("NBRAY_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NBRAY_ENGINE", "inline")
    nbray.shutdown()
    yield
    nbray.shutdown()


def test_importing_is_light():
    code = (
        "import sys, nbray; heavy = {'zmq', 'IPython', 'numpy', 'jinja2', 'tornado', 'click',"
        " 'psutil', 'ipywidgets', 'asyncio', 'cloudpickle'} & set(sys.modules); print(heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_public_names_exist():
    for name in nbray.__all__:
        assert hasattr(nbray, name), name
    assert nbray.__version__ == "0.1.0"
    assert nbray.actor.ActorHandle
    assert nbray.exceptions.RayTaskError
    assert nbray.util.get_node_ip_address


def test_the_life_of_a_session(fresh):
    assert not nbray.is_initialized()
    nbray.init()
    assert nbray.is_initialized()
    nbray.shutdown()
    nbray.shutdown()
    assert not nbray.is_initialized()


def test_the_first_call_starts_a_session(fresh):
    assert nbray.get(nbray.put(1)) == 1
    assert nbray.is_initialized()


def test_the_context_closes_the_session(fresh):
    with nbray.init(num_cpus=3) as context:
        assert nbray.cluster_resources()["CPU"] == 3
        assert context["node_ip_address"] == context.address_info["node_ip_address"]
        assert "3 CPUs" in repr(context)
        assert "3 CPUs" in context._repr_mimebundle_()["text/html"]
        assert set(context.keys()) == set(context)
        assert context.get("nothing", 5) == 5
    assert not nbray.is_initialized()
    assert repr(context) == "nbray: disconnected"
    assert context._repr_mimebundle_() == {"text/plain": "nbray: disconnected"}


def test_the_context_knows_the_dashboard_where_there_is_one(fresh):
    with nbray.init() as context:
        assert context.dashboard_url == context["dashboard_url"] == ""
        assert context["session_dir"] == ""


def test_an_old_context_does_not_close_a_new_session(fresh):
    old = nbray.init()
    nbray.shutdown()
    nbray.init()
    old.disconnect()
    assert nbray.is_initialized()


def test_arguments_reach_the_engine(fresh):
    nbray.init(num_cpus=2, num_gpus=1, resources={"x": 3}, namespace="n", object_store_memory=10**8)
    assert session.started_with() == InitConfig(
        num_cpus=2, num_gpus=1, resources={"x": 3.0}, namespace="n", object_store_memory=10**8
    )
    total = nbray.cluster_resources()
    assert (total["CPU"], total["GPU"], total["x"]) == (2, 1, 3)
    assert nbray.get_runtime_context().namespace == "n"


def test_ray_arguments_without_meaning_are_accepted_and_said(fresh):
    with pytest.warns(UserWarning, match="dashboard_host.*_temp_dir") as caught:
        nbray.init(
            dashboard_host="0.0.0.0",
            logging_level=10,
            log_to_driver=False,
            configure_logging=True,
            _temp_dir="/tmp/x",
            local_mode=True,
        )
    assert caught[0].filename == __file__
    assert session.current().capabilities.name == "inline"


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"num_cpu": 1}, TypeError, "num_cpus"),
        ({"include_dashboard": "no"}, TypeError, "include_dashboard must be True or False"),
        ({"dashboard_port": "8265"}, TypeError, "dashboard_port must be a port number"),
        ({"dashboard_port": True}, TypeError, "dashboard_port must be a port number"),
        ({"dashboard_port": 70_000}, ValueError, "between 0 and 65535"),
        ({"redis_password": "x"}, TypeError, "_redis_password"),
        ({"num_cpus": "4"}, TypeError, "num_cpus"),
        ({"num_cpus": -1}, ValueError, "num_cpus"),
        ({"num_gpus": float("nan")}, ValueError, "num_gpus"),
        ({"resources": {"CPU": 1}}, ValueError, "num_cpus"),
        ({"resources": 3}, TypeError, "resources"),
        ({"namespace": 3}, TypeError, "namespace"),
        ({"namespace": ""}, ValueError, "non-empty"),
        ({"address": 6379}, TypeError, "address"),
        ({"address": "nowhere"}, ValueError, "HOST:PORT"),
        ({"address": "host:"}, ValueError, "HOST:PORT"),
        ({"address": "host:99999"}, ValueError, "HOST:PORT"),
        ({"address": "ray://host:10001"}, ValueError, "HOST:PORT"),
        ({"address": "1.2.3.4:6379", "num_cpus": 1}, ValueError, "num_cpus"),
        ({"address": "auto", "resources": {"a": 1}}, ValueError, "resources"),
        ({"engine": "warp"}, ValueError, "inline, native"),
        ({"runtime_env": {"pip": ["x"], "conda": "y"}}, ValueError, "'pip'"),
        ({"runtime_env": {"env_vars": {"A": 1}}}, TypeError, "env_vars"),
        ({"runtime_env": "x"}, TypeError, "runtime_env"),
        ({"address": "1.2.3.4:6379"}, ValueError, "inline"),
    ],
    ids=str,
)
def test_bad_arguments_of_init(fresh, given, error, text):
    with pytest.raises(error, match=text):
        nbray.init(**given)
    assert not nbray.is_initialized()


@pytest.mark.parametrize("variable", ["NBRAY_ADDRESS", "RAY_ADDRESS"])
@pytest.mark.parametrize("given", [None, "auto"])
def test_the_address_of_the_environment_is_used(fresh, monkeypatch, variable, given):
    monkeypatch.setenv(variable, "10.1.2.3:6379")
    with pytest.raises(ValueError, match=r"10\.1\.2\.3:6379"):  # inline can join nothing
        nbray.init(given)


@pytest.mark.parametrize("variable", ["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"])
def test_a_dashboards_link_in_the_environment_is_for_who_asks_a_cluster(monkeypatch, variable):
    monkeypatch.setenv("RAY_ADDRESS", "10.1.2.3:6379")
    monkeypatch.setenv(variable, "http://127.0.0.1:8266")
    for given in (None, "auto"):
        assert arguments.cluster_address(given) == "http://127.0.0.1:8266"
    assert arguments.cluster_address("10.1.2.4:1") == "10.1.2.4:1"


def test_a_cell_that_calls_init_again_goes_on(fresh):
    first = nbray.init(num_cpus=2)
    token = session.cell.set("a cell")
    try:
        assert nbray.init(num_cpus=2).address_info == first.address_info
        nbray.init()
        nbray.init("auto")
        with pytest.raises(RuntimeError, match="shutdown"):
            nbray.init("1.2.3.4:6379")
        with pytest.raises(RuntimeError, match="inline engine"):
            nbray.init(engine="native")
        with pytest.warns(RuntimeWarning, match="change nothing"):
            nbray.init(num_cpus=5)
    finally:
        session.cell.reset(token)


def test_a_script_that_calls_init_twice_is_told(fresh):
    first = nbray.init(num_cpus=2)
    with pytest.raises(RuntimeError, match="ignore_reinit_error"):
        nbray.init(num_cpus=2)
    assert nbray.init(num_cpus=3, ignore_reinit_error=True).address_info == first.address_info


def test_env_vars_hold_for_the_sessions_work(fresh, monkeypatch):
    monkeypatch.setenv("NBRAY_TEST_KEPT", "before")
    nbray.init(runtime_env={"env_vars": {"NBRAY_TEST_A": "1", "NBRAY_TEST_KEPT": "during"}})
    ask = nbray.remote(os.getenv)
    assert nbray.get(ask.remote("NBRAY_TEST_A")) == "1"
    assert nbray.get(ask.remote("NBRAY_TEST_KEPT")) == "during"
    assert os.environ["NBRAY_TEST_KEPT"] == "before"  # the driver's own are left alone
    assert "NBRAY_TEST_A" not in os.environ


def test_waits_are_watched(fresh):
    log = []

    @contextlib.contextmanager
    def watch():
        log.append("in")
        yield
        log.append("out")

    ref = nbray.put(1)
    session.watch_waits(watch)
    try:
        nbray.get(ref)
        nbray.wait([ref])
    finally:
        session.watch_waits(None)
    nbray.get(ref)
    assert log == ["in", "out"] * 2


@pytest.mark.parametrize("look", ["nodes", "cluster_resources", "available_resources"])
def test_what_only_looks_starts_nothing(fresh, look):
    with pytest.raises(nbray.exceptions.RaySystemError, match=r"call nbray\.init\(\)"):
        getattr(nbray, look)()
    assert not nbray.is_initialized()


def test_what_uses_starts_as_in_ray(fresh):
    assert nbray.get_gpu_ids() == []
    assert nbray.is_initialized()


def test_a_reference_of_an_ended_session_raises(fresh):
    nbray.init()
    ref = nbray.put(1)
    nbray.shutdown()
    nbray.init()
    nbray.put(2)
    with pytest.raises(nbray.exceptions.RaySystemError, match="has ended"):
        nbray.get(ref)


def test_arguments_of_verbs(fresh):
    nbray.init()
    ref = nbray.put(1)
    with pytest.raises(TypeError, match="seconds"):
        nbray.get(ref, timeout="1")
    with pytest.raises(TypeError, match="integer"):
        nbray.wait([ref], num_returns="1")
    with pytest.raises(TypeError, match="list"):
        nbray.wait({ref})
    with pytest.raises(TypeError, match="kill"):
        nbray.cancel(nbray.remote(type("A", (), {})).remote())
    with pytest.raises(TypeError, match="name"):
        nbray.get_actor(3)
    with pytest.raises(ValueError, match="namespace"):
        nbray.get_actor("x", namespace="")
    with pytest.raises(ValueError, match="num_returns=0"):
        nbray.get(None)
