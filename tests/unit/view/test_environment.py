"""The table of packages that differ, and the command that mends them."""

from __future__ import annotations

from scenes import HOSTILE

from nbray.view.environment import Difference, Mismatch, environment_html, environment_text

ROWS = (
    Difference("numpy", "1.26.4", "1.25.0"),
    Difference("scikit-learn", "1.5.0", ""),
    Difference("torch", "2.1.0+cu121", "2.1.0"),
)
COMMAND = (
    "/opt/py/bin/python -m pip install numpy==1.26.4 scikit-learn==1.5.0 torch==2.1.0"
)


def test_the_table_has_a_row_for_each_package_and_the_command() -> None:
    text = environment_text([Mismatch(("node-b",), ROWS, "/opt/py/bin/python")])
    assert text.splitlines() == [
        "Packages on node-b differ from the notebook's:",
        "  package       here         node-b",
        "  numpy         1.26.4       1.25.0",
        "  scikit-learn  1.5.0        missing",
        "  torch         2.1.0+cu121  2.1.0",
        f"To match them, run there: {COMMAND}",
    ]
    html = environment_html([Mismatch(("node-b",), ROWS, "/opt/py/bin/python")])
    assert "<td>numpy</td><td>1.26.4</td>" in html
    assert "pip install numpy==1.26.4" in html


def test_nodes_with_the_same_differences_share_a_table() -> None:
    found = [Mismatch(("b", "c", "d"), ROWS)]
    assert environment_text(found).startswith("Packages on b, c and d differ")
    assert environment_html(found).count("<table") == 1


def test_nothing_differs_shows_nothing() -> None:
    assert environment_html([]) == ""
    assert environment_text([]) == ""


def test_names_are_escaped() -> None:
    html = environment_html([Mismatch((HOSTILE,), (Difference(HOSTILE, "1", "2"),))])
    assert "<script" not in html
    command = Mismatch(("b",), ROWS, "/opt/my python").command
    assert command.startswith("'/opt/my python' -m pip install ")
