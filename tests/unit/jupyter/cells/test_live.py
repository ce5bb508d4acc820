"""A display that moves in a widget and rests as HTML and text."""

from __future__ import annotations

from typing import Any

from fake_kernel import Kernel, Shell

from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.cells.live import VIEW, Live, html_widget


class Part:
    closed = False

    def close(self) -> None:
        self.closed = True


class Widget(Part):
    model_id = "m"

    def __init__(self, html: str, comm: object = "comm") -> None:
        self.value = html
        self.comm = comm
        self.layout, self.style = Part(), Part()


def setup(comm: object) -> tuple[Kernel, list[Widget], Live]:
    kernel, own = Kernel(), Cells()
    own.attach(Shell(kernel))
    made: list[Widget] = []

    def make(html: str) -> Any:
        made.append(Widget(html, comm))
        return made[-1]

    return kernel, made, Live(own, "c", make)


def data(kernel: Kernel) -> list[dict[str, Any]]:
    return [sent["content"]["data"] for sent in kernel.sent]


def test_one_message_to_show_and_none_to_move() -> None:
    kernel, made, live = setup("comm")
    live.show("<b>1</b>", "1")
    live.show("<b>2</b>", "2")
    assert made[0].value == "<b>2</b>"
    assert len(kernel.sent) == 1
    assert data(kernel)[0]["text/html"] == "<b>1</b>"
    assert data(kernel)[0][VIEW]["model_id"] == "m"


def test_rest_leaves_no_widget() -> None:
    kernel, made, live = setup("comm")
    live.show("1", "1")
    live.rest("2", "2")
    assert data(kernel)[-1] == {"text/html": "2", "text/plain": "2"}
    assert made[0].closed
    assert made[0].layout.closed
    assert made[0].style.closed


def test_it_moves_again_in_the_same_place() -> None:
    kernel, made, live = setup("comm")
    live.show("1", "1")
    live.rest("2", "2")
    live.show("3", "3")
    assert len(made) == 2
    assert [sent["kind"] for sent in kernel.sent] == ["display_data"] + ["update_display_data"] * 2
    assert len({sent["content"]["transient"]["display_id"] for sent in kernel.sent}) == 1


def test_without_a_way_for_widgets_the_display_is_replaced() -> None:
    kernel, _, live = setup(None)
    live.show("1", "1")
    live.show("2", "2")
    live.rest("3", "3")
    assert [bundle["text/html"] for bundle in data(kernel)] == ["1", "2", "3"]
    assert all(VIEW not in bundle for bundle in data(kernel))


def test_save_keeps_the_widget() -> None:
    kernel, _, live = setup("comm")
    live.show("1", "1")
    live.save("2", "2")
    assert VIEW in data(kernel)[-1]
    assert data(kernel)[-1]["text/html"] == "2"


def test_the_widget_is_a_core_one() -> None:
    widget = html_widget("<b>x</b>")
    assert widget._model_module == "@jupyter-widgets/controls"
    widget.close()


def test_where_nobody_looks_no_widget_is_made() -> None:
    kernel, made, live = setup("comm")
    kernel.request = {"content": {"allow_stdin": False}}
    live.show("1", "1")
    live.show("2", "2")
    live.rest("3", "3")
    live.show("4", "4")
    assert not made
    assert [bundle["text/html"] for bundle in data(kernel)] == ["1", "2", "3", "4"]
    assert not any(VIEW in bundle for bundle in data(kernel))
