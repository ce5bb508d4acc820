"""`ray.experimental.get_object_locations`: which nodes have a copy of an object."""

from __future__ import annotations

from api import load, ray


def test_where_objects_lie():
    @ray.remote
    def make(size):
        return b"x" * size

    large, small = ray.put(b"x" * 1_000_000), ray.put(1)
    made = make.remote(1_000_000)
    ray.wait([made])
    found = load("experimental").get_object_locations([large, small, made])
    assert set(found) == {large, small, made}
    here = [ray.nodes()[0]["NodeID"]]
    assert found[large]["node_ids"] in (here, [])  # [] where there is no store
    assert found[made]["node_ids"] in (here, [])
    assert found[small]["node_ids"] in (here, [])  # in a message, or where it was put
    assert found[large]["object_size"] is None or found[large]["object_size"] >= 1_000_000
