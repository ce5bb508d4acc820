"""What stands between the panel's buttons: who can leave, what that means, the line for joining."""

from __future__ import annotations

import re

import msgspec
from scenes import HOSTILE, cluster

from nbray.events import Snapshot
from nbray.view.controls import hint_html, join_html, leavers, note_html


def test_a_sentence_is_a_status_or_an_alert_and_nothing_is_nothing() -> None:
    assert note_html("") == ""
    assert 'role="status">Adding' in note_html("Adding")
    assert 'role="alert">It' in note_html("It failed", bad=True)
    assert "<script" not in note_html(HOSTILE)


def test_the_head_the_dead_and_ones_own_node_cannot_leave() -> None:
    nodes = list(cluster(5).nodes)
    nodes[2] = msgspec.structs.replace(nodes[2], alive=False)
    found = leavers(Snapshot(nodes=tuple(nodes)), mine=nodes[3].node_id)
    assert found == (("worker 2 (host2, 10.0.0.2)", 2), ("worker 5 (host5, 10.0.0.5)", 5))


def test_what_stopping_means_just_now() -> None:
    said = hint_html(cluster(2), 2)
    assert "6 tasks running there, 1 GB of objects. Gently" in said
    assert "At once" in said
    assert "no node but the head" in hint_html(cluster(1), None)
    assert "no node but the head" in hint_html(cluster(1), 7)


def test_the_line_can_be_copied_and_needs_nothing_from_elsewhere() -> None:
    html = join_html("nbray start --address=10.0.0.1:6379 --redis-password='a b'")
    assert 'value="nbray start --address=10.0.0.1:6379 --redis-password=&#39;a b&#39;"' in html
    assert not re.search(r"<script|(src|href)=|https?:|url\(|@import", html)
    assert "<script" not in join_html(HOSTILE)
