"""The panel: figures, dead nodes, many nodes, no nodes, hostile names, no secret."""

from __future__ import annotations

import re

import msgspec
from scenes import HOSTILE, cluster

from nbray.events import Figures, NodeView, Snapshot
from nbray.view.panel import panel, panel_html, panel_text


def test_what_it_says() -> None:
    what = panel(cluster())
    assert what.title == "3 nodes"
    assert what.facts == ("18 of 24 CPUs busy", "0 of 3 GPUs", "store 3 of 12 GB", "2 actors")
    assert what.dot == "ok"
    row = what.rows[0]
    assert (row.name, row.where) == ("host1 · head", "10.0.0.1, up 4 min")
    assert [share.said for share in row.shares] == ["88%", "6 of 16 GB", "1 of 4 GB"]
    assert row.gpus == "0 of 1"
    assert row.numbers == ("8", "6", "12", "12,401")
    assert row.spark.count(",") == 3
    assert what.join == "192.168.1.20:6379"


def test_html() -> None:
    html = panel_html(cluster())
    assert html.count("<tr") == 4
    assert html.count('role="meter"') == 9
    assert not re.search(r"<script|(src|href)=|https?:|url\(|@import", html)
    assert "nbray join" in html
    assert "nbray-dot-ok" in html.split("</style>")[1]


def test_what_a_node_has_not_told_yet_is_no_zero() -> None:
    new = msgspec.structs.replace(cluster(1).nodes[0], figures=Figures())
    snapshot = msgspec.structs.replace(cluster(1), nodes=(new,))
    assert [share.said for share in panel(snapshot).rows[0].shares][1:] == ["", ""]
    assert "of 0 bytes" not in panel_text(snapshot)
    assert "of 0 bytes" not in panel_html(snapshot)


def test_gpus_have_a_column_where_there_are_any() -> None:
    assert "<th>GPUs</th>" in panel_html(cluster())
    assert "GPUs" in panel_text(cluster()).splitlines()[1]
    plain = msgspec.structs.replace(cluster(1).nodes[0], resources={"CPU": 8.0})
    snapshot = msgspec.structs.replace(cluster(1), nodes=(plain,))
    assert "GPU" not in panel_html(snapshot).split("</style>")[1]
    assert "GPU" not in panel_text(snapshot)


def test_nodes_of_one_machine_are_told_apart_by_role_and_number() -> None:
    nodes = [msgspec.structs.replace(node, name="laptop") for node in cluster(3).nodes]
    nodes[2] = msgspec.structs.replace(nodes[2], resources={"memory": 1.0})
    rows = panel(Snapshot(nodes=tuple(nodes))).rows
    assert [row.name for row in rows] == [
        "laptop · head", "laptop · worker 2", "laptop · no CPUs 3",
    ]  # fmt: skip


def test_a_node_that_leaves_says_so() -> None:
    snapshot = cluster(2)
    leaves = msgspec.structs.replace(snapshot.nodes[1], leaving=True)
    what = panel(msgspec.structs.replace(snapshot, nodes=(snapshot.nodes[0], leaves)))
    assert what.rows[1].where == "10.0.0.2, leaves when its work has ended"
    assert (what.title, what.dot) == ("2 nodes", "ok")


def test_no_join_line_without_an_address() -> None:
    assert "Add a machine" not in panel_html(cluster(address=""))
    assert "Add a machine" not in panel_text(cluster(address=""))


def test_no_cluster() -> None:
    assert panel(Snapshot()).title == "No cluster is running"
    assert "<table" not in panel_html(Snapshot())
    assert panel_text(Snapshot()) == "No cluster is running"


def test_a_dead_node_is_named_and_counts_for_nothing() -> None:
    snapshot = cluster(2)
    dead = msgspec.structs.replace(snapshot.nodes[1], alive=False)
    what = panel(msgspec.structs.replace(snapshot, nodes=(snapshot.nodes[0], dead)))
    assert what.title == "1 node"
    assert what.facts[:2] == ("1 gone", "6 of 8 CPUs busy")
    assert what.dot == "bad"
    assert what.rows[1].where == "10.0.0.2, gone"
    assert what.rows[1].shares == ()


def test_a_node_that_has_said_nothing_yet() -> None:
    snapshot = Snapshot(nodes=(NodeView(1, "a", "a", "a"),))
    row = panel(snapshot).rows[0]
    assert (row.where, row.spark) == ("", "")
    assert row.shares[1].percent == 0
    assert "a" in panel_html(snapshot)
    assert "a" in panel_text(snapshot)


def test_two_hundred_nodes_have_a_row_each() -> None:
    assert panel_html(cluster(200)).count("<tr") == 201
    assert len(panel_text(cluster(200)).splitlines()) == 203


def test_hostile_names_are_escaped() -> None:
    snapshot = cluster(1, address=HOSTILE)
    hostile = msgspec.structs.replace(snapshot.nodes[0], name=HOSTILE, address=HOSTILE)
    html = panel_html(msgspec.structs.replace(snapshot, nodes=(hostile,)))
    assert "<script" not in html
    assert '"&' not in html
    text = panel_text(msgspec.structs.replace(cluster(1), nodes=(hostile,)))
    assert "\x1b" not in text


def test_the_last_state_of_a_stopped_cluster_offers_no_join() -> None:
    what = panel(cluster(), stopped=True)
    assert what.facts[:3] == ("stopped", "24 CPUs", "3 GPUs")
    assert what.rows[0].numbers == ("8", "0", "0", "12,401"), "nothing runs there any more"
    assert (what.join, what.dot) == ("", "off")
    assert panel_text(cluster(), stopped=True).startswith("3 nodes · stopped")
