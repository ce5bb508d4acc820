"""`nbray.client`: a driver that is made step by step."""

from __future__ import annotations

import pytest

import nbray
from nbray.client_builder import ClientBuilder


def test_addresses() -> None:
    assert nbray.client("ray://host:1").address == "host:1"
    assert nbray.client("host:1").address == "host:1"
    assert nbray.client("local").address == "local"
    with pytest.raises(ValueError, match="HTTP address"):
        nbray.client("http://host:1")
    with pytest.raises(RuntimeError, match="does not exist"):
        nbray.client("no_such_module://host")
    with pytest.raises(RuntimeError, match="does not have ClientBuilder"):
        nbray.client("json://host")


def test_a_connection_is_a_driver() -> None:
    with pytest.warns(DeprecationWarning, match=r"ray\.client"):
        context = nbray.client("local")._init_args(engine="inline").namespace("mine").connect()
    try:
        assert nbray.get_runtime_context().namespace == "mine"
        assert context.python_version.count(".") == 2
        with pytest.raises(RuntimeError, match="already connected"):
            ClientBuilder("host:1").connect()
        with pytest.raises(RuntimeError, match="already connected"):
            nbray.util.connect("host:1")
        with context:
            pass
        assert nbray.is_initialized()  # it is this process's own
    finally:
        nbray.util.disconnect()
    assert not nbray.is_initialized()
    nbray.util.disconnect()
