"""`experimental.internal_kv`: what all processes of a cluster share."""

from __future__ import annotations

import pytest
from api import load, ray

kv = load("experimental.internal_kv")


@ray.remote
def kept(name, key):
    import importlib

    return importlib.import_module(name)._internal_kv_get(key)


def test_what_is_kept_is_there_for_all():
    assert kv._internal_kv_initialized()
    assert kv._internal_kv_get(b"key") is None
    assert not kv._internal_kv_put(b"key", b"value")
    assert kv._internal_kv_get("key") == b"value"
    assert kv._internal_kv_exists(b"key")
    assert kv._internal_kv_put(b"key", "other", overwrite=False)
    assert ray.get(kept.remote(kv.__name__, b"key")) == b"value"
    assert kv._internal_kv_put(b"key", "other")
    assert kv._internal_kv_get(b"key") == b"other"
    assert kv._internal_kv_list(b"k") == [b"key"]
    assert not kv._internal_kv_put(b"key", b"apart", namespace="apart")
    assert kv._internal_kv_get(b"key", namespace=b"apart") == b"apart"
    assert kv._internal_kv_del(b"key") == 1
    assert kv._internal_kv_get(b"key") is None
    for name in (b"a1", b"a2", b"b1"):
        kv._internal_kv_put(name, name)
    assert kv._internal_kv_del(b"a", del_by_prefix=True) == 2
    assert kv._internal_kv_list(b"b") == [b"b1"]
    with pytest.raises(AssertionError):
        kv._internal_kv_put(3, b"value")
    assert not ray.util.list_named_actors()
