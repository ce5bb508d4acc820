"""What has ended in an actor is not lost when its next call ends the process at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

import nbray


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    nbray.init(num_cpus=2, include_dashboard=False)
    yield
    nbray.shutdown()


@nbray.remote(num_cpus=0)
class Leaver:
    def one(self) -> int:
        return 1

    def die(self) -> None:
        os._exit(1)

    def shoot(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", ["die", "shoot"])
def test_calls_that_ended_before_have_their_results(how: str) -> None:
    actor = Leaver.remote()
    before = [actor.one.remote() for _ in range(3)]
    end = getattr(actor, how).remote()
    assert nbray.get(before, timeout=60) == [1, 1, 1]
    with pytest.raises(nbray.exceptions.ActorDiedError):
        nbray.get(end, timeout=60)


def test_a_call_that_has_ended_is_not_tried_again(tmp_path) -> None:
    @nbray.remote(num_cpus=0, max_restarts=-1, max_task_retries=3)
    class Counted:
        def count(self) -> int:
            (tmp_path / f"{time.time_ns()}").touch()
            return 1

        def die_once(self) -> int:
            if not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                os._exit(1)
            return 2

    actor = Counted.remote()
    calls = [actor.count.remote(), actor.die_once.remote(), actor.count.remote()]
    assert nbray.get(calls, timeout=60) == [1, 2, 1]
    assert len(list(tmp_path.iterdir())) == 3
