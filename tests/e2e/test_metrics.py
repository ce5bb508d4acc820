"""Numbers of all processes on one page."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from harness import eventually

import nbray as ray
from nbray.util.metrics import Counter, Gauge


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def read(port, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def test_the_page():
    @ray.remote
    class Worker:
        def __init__(self):
            self.calls = Counter("worker_calls", tag_keys=("who",)).set_default_tags({"who": "me"})

        def call(self):
            self.calls.inc()
            Gauge("worker_gauge", tag_keys=("a-b",)).set(1, tags={"a-b": 'a "b"\n'})

    (port,) = {node["MetricsExportPort"] for node in ray.nodes()}
    assert port
    assert {node["MetricsExportPort"] for node in ray.nodes()} == {port}
    with pytest.raises(urllib.error.URLError):
        read(port)  # nobody has recorded anything
    Gauge("driver_gauge").set(4.5)
    worker = Worker.remote()
    ray.get([worker.call.remote() for _ in range(3)])

    def found():
        try:
            lines = [line for line in read(port).splitlines() if not line.startswith("#")]
        except urllib.error.URLError:
            return {}
        return {line.partition("{")[0]: (line, line.split()[-1]) for line in lines}

    assert eventually(lambda: len(found()) == 3)
    assert {name: value for name, (_, value) in found().items()} == {
        "ray_driver_gauge": "4.5", "ray_worker_calls_total": "3.0", "ray_worker_gauge": "1.0",
    }  # fmt: skip
    assert r'a_b="a \"b\"\n"' in found()["ray_worker_gauge"][0]
    ray.kill(worker)
    # Its gauge ends with it, what it has counted does not.
    assert eventually(lambda: found().keys() == {"ray_driver_gauge", "ray_worker_calls_total"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        read(port, Host="elsewhere.example")
