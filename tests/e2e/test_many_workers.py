"""More workers than a small bound allows, and more than any bound did once.

NBRAY_TEST_WORKERS=300 has as many actors as the issue asks for, and a hundred nested tasks
more; `make crowd` does that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from e2e import cli

MANY = int(os.environ.get("NBRAY_TEST_WORKERS", "0"))
START = """
import nbray as ray
ray.init(num_cpus=2)
@ray.remote
class A:
    def get(self): return 1
    def nested(self, depth): return ray.get(nest.remote(depth))
@ray.remote
def nest(n): return 0 if n == 0 else 1 + ray.get(nest.remote(n - 1))
@ray.remote
def plain(i): return i
"""
BEHIND_ACTORS = """
actors = [A.remote() for _ in range(9)]
calls = [a.get.remote() for a in actors]
ray.wait(calls, num_returns=5, timeout=60)
try:
    ray.get(calls, timeout=2)
except ray.exceptions.GetTimeoutError as error:
    print(error)
print(sum(ray.get([plain.remote(i) for i in range(10)])))
for a in actors[:5]:
    ray.kill(a)
print(sum(ray.get([a.get.remote() for a in actors[5:]])))
"""
NESTED = """
ref = nest.remote(9)
print(ray.wait([ref], timeout=4)[0])
ray.cancel(ref, force=True)
print(ray.get(nest.remote(2)))
"""
OF_NO_CPU = """
actors = [A.options(num_cpus=0).remote() for _ in range(9)]
calls = [a.get.remote() for a in actors]
ray.wait(calls, num_returns=5, timeout=60)
print(len(ray.wait(calls, num_returns=9, timeout=2)[0]))
del actors, calls
print(ray.get(plain.remote(7)))
"""
BOUNDED = {
    "actors": (BEHIND_ACTORS, r".*9 objects not ready; \d waiting: A has not .*\n45\n4\n"),
    "nested tasks": (NESTED, r"\[\]\n2\n"),
    "actors without CPUs": (OF_NO_CPU, r"[56]\n7\n"),
}


def run(tmp_path: Path, text: str, **more: str) -> tuple[str, str]:
    path = tmp_path / "program.py"
    path.write_text(START + text)
    done = cli.run([sys.executable, str(path)], timeout=300, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("kind", BOUNDED)
def test_a_bound_says_itself_and_lets_go(tmp_path: Path, kind: str) -> None:
    import re

    text, expected = BOUNDED[kind]
    printed, said = run(tmp_path, text, NBRAY_MAX_WORKERS="6")
    assert re.fullmatch(expected, printed, re.DOTALL), printed
    assert "work waits for a process: the node has" in said
    assert "NBRAY_MAX_WORKERS=6 allows no more" in said


@pytest.mark.parametrize("said", ["none", "0"])
def test_a_bound_that_is_no_number_is_refused(tmp_path: Path, said: str) -> None:
    path = tmp_path / "program.py"
    path.write_text(START)
    done = cli.run([sys.executable, str(path)], NBRAY_MAX_WORKERS=said)
    assert "it must be a positive whole number" in done.stderr


@pytest.mark.skipif(not MANY, reason="takes a minute: make crowd")
def test_hundreds_of_actors_and_a_hundred_levels(tmp_path: Path) -> None:
    text = f"""
actors = [A.remote() for _ in range({MANY})]
print(sum(ray.get([a.get.remote() for a in actors], timeout=250)))
print(sum(ray.get([plain.remote(i) for i in range(100)])))
print(ray.get(nest.remote(100), timeout=250))
print(ray.get(actors[0].nested.remote(50), timeout=250))
"""
    printed, _ = run(tmp_path, text)
    assert printed == f"{MANY}\n4950\n100\n50\n"
