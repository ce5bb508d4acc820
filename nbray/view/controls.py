"""What stands between the panel's buttons: a sentence, the line for joining.

Owns their words as HTML. Does not own the buttons (`nbray.jupyter.panel.controls`).
Rule: the line for joining holds the secret, and goes only into a live page, on
request; nothing here is ever part of what a notebook saves. The style sheet is
the table's above.
"""

from __future__ import annotations

from nbray import figures
from nbray.events import NodeView, Snapshot
from nbray.view.panel import role
from nbray.view.render import render


def note_html(text: str, bad: bool = False) -> str:
    """A sentence about what is being done, or why it could not be; '' for none."""
    return render("note", text=text, bad=bad) if text else ""


def join_html(line: str) -> str:
    """*line* in a field that selects itself, with a button that copies it.

    The button is an event attribute of the HTML, not a script of the page's: it
    works without network, and does nothing where attributes are stripped; then
    the field is there.
    """
    return render("join", line=line)


def leavers(snapshot: Snapshot, mine: str) -> tuple[tuple[str, int], ...]:
    """(label, number) of every node that could leave; *mine* is the node one is attached to."""
    return tuple(
        (label(node), node.number)
        for node in snapshot.nodes
        if node.alive and not node.is_head and node.node_id != mine
    )


def label(node: NodeView) -> str:
    """'worker 2 (laptop, 10.0.0.2)'."""
    where = dict.fromkeys(one for one in (node.name, node.address) if one)
    return f"{role(node)} ({', '.join(where)})"


def hint_html(snapshot: Snapshot, number: int | None) -> str:
    """What stopping node *number* means, with what it does just now."""
    node = next((one for one in snapshot.nodes if one.number == number), None)
    if node is None or not node.alive:
        return note_html(
            "There is no node but the head's, which stays as long as the cluster: "
            "%nbray stop ends it all."
        )
    seen = node.figures
    now = f"{figures.noun(seen.running, 'task')} running there"
    if seen.store_used or seen.disk_used:
        now += f", {figures.memory(seen.store_used + seen.disk_used)} of objects"
    return note_html(
        f"{now}. Gently: it takes nothing new, and leaves when its tasks have ended. At once: "
        "they run again elsewhere. Its actors end with it, and so do objects that lie only there."
    )
