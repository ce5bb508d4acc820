"""Errors that nbray raises of what the user's code did: a sentence, and no frame of nbray's."""

from __future__ import annotations

import os
import sys
import threading
import types
from pathlib import Path

import pytest
from api import ray

from nbray.exceptions import RayTaskError

HOME = str(Path(ray.__file__).parent) + os.sep


def told(ref):
    with pytest.raises(Exception) as caught:
        ray.get(ref, timeout=60)
    text = str(caught.value)
    assert HOME not in text
    assert "site-packages" not in text
    return text


class Stubborn:
    def __reduce__(self):
        raise ValueError("mine")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (threading.Lock, "result of give cannot be pickled: it is a thread lock"),
        (lambda: [{"a": threading.Lock()}], "it holds a thread lock in key 'a' in element 0"),
        (lambda: (i for i in "ab"), "it is a generator"),
    ],
    ids=["lock", "inside", "generator"],
)
def test_a_result_that_cannot_be_pickled(make, says):
    @ray.remote
    def give():
        return make()

    text = told(give.remote())
    assert says in text
    assert "Traceback" not in text
    assert len(text.splitlines()) == 2


def test_a_result_whose_own_code_refuses_shows_that_code():
    @ray.remote
    def give():
        return Stubborn()

    text = told(give.remote())
    assert 'raise ValueError("mine")' in text
    assert text.splitlines()[-1].startswith("TypeError: the result of give cannot be pickled")


@pytest.mark.parametrize("result", [5, [1, 2, 3]])
def test_a_wrong_number_of_returns(result):
    @ray.remote(num_returns=2)
    def give():
        return result

    text = told(give.remote()[0])
    assert "give has num_returns=2" in text
    assert "Traceback" not in text


def test_what_a_worker_lacks_is_named():
    lost = types.ModuleType("module_of_the_driver_alone")
    exec("def helper(): return 1\nclass Kind: pass", lost.__dict__)
    sys.modules[lost.__name__] = lost

    @ray.remote
    def use():
        return lost.helper()

    @ray.remote
    def take(value):
        return 1

    class Actor:
        def __init__(self):
            self.helper = lost.helper

        def get(self):
            return 1

    try:
        if _inline():
            pytest.skip("the driver is the worker")
        for ref, name in (
            (use.remote(), "use"),
            (take.remote(lost.Kind()), "take"),
            (ray.remote(Actor).remote().get.remote(), "Actor.__init__"),
        ):
            text = told(ref)
            assert "No module named 'module_of_the_driver_alone'" in text
            assert f"({name} needs it on " in text
            assert "Traceback" not in text
    finally:
        del sys.modules[lost.__name__]


def _inline():
    from nbray import session

    return session.current().capabilities.name == "inline"


def test_what_nested_work_could_not_send_shows_the_users_line():
    @ray.remote
    def take(value):
        return 1

    @ray.remote
    def give():
        return take.remote(threading.Lock())

    text = told(give.remote())
    assert "return take.remote(threading.Lock())" in text
    assert "argument 1 of take cannot be pickled" in text


def test_an_error_of_a_task_passes_on_as_it_is():
    @ray.remote
    def give():
        return threading.Lock()

    @ray.remote
    def take(value):
        return 1

    with pytest.raises(RayTaskError) as caught:
        ray.get(take.remote(give.remote()))
    assert caught.value.function_name.endswith("give")
    assert "while take" not in str(caught.value)
