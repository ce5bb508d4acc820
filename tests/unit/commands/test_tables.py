"""Rows as YAML, for programs that read what a command prints."""

from __future__ import annotations

import yaml as reader

from nbray.commands.tables import yaml

ROWS = [
    {
        "node_id": "0012", "state": "ALIVE", "nothing": None, "none": {}, "labels": {"a/b": "yes"},
        "bundles": [{"index": 0, "needs": {"CPU": 1.0, "node:10.0.0.5": 0.5}}, {"index": 1}],
        "deep": [[1, [2, "x: y"]], [], "- dash"],
    },
    {"node_id": "e1", "text": "two\nlines", "labels": {}},
]  # fmt: skip


def test_what_is_written_can_be_read() -> None:
    assert reader.safe_load(yaml(ROWS)) == ROWS
    assert reader.safe_load(yaml([])) == []
    assert reader.safe_load(yaml({"head": ["head.log"], "node": []})) == {
        "head": ["head.log"], "node": [],
    }  # fmt: skip


def test_it_looks_as_rays() -> None:
    text = yaml([{"state": "ALIVE", "bundles": [{"id": {"index": 0}, "node": "aa"}]}])
    assert text == (
        "---\n-   state: ALIVE\n    bundles:\n    -   id:\n            index: 0\n"
        "        node: aa\n...\n"
    )
