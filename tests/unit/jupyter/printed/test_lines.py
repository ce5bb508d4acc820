"""Pieces of text become few messages."""

from nbray.jupyter.printed.lines import PAUSE, Lines


class Stage:
    def __init__(self):
        self.sent = []
        self.now = 100.0
        self.lines = Lines(lambda *what: self.sent.append(what), lambda: self.now)


def test_a_piece_goes_at_once():
    stage = Stage()
    stage.lines.add("c", "stdout", "a\n", hold=False)
    stage.lines.add("c", "stdout", "b\n", hold=False)
    assert stage.sent == [("c", "a\n", "stdout"), ("c", "b\n", "stdout")]


def test_many_pieces_gather_while_somebody_will_flush_them():
    stage = Stage()
    for number in range(1000):
        stage.lines.add("c", "stdout", f"{number}\n", hold=True)
        stage.now += PAUSE / 100
    stage.lines.flush()
    assert len(stage.sent) <= 12
    assert "".join(text for _, text, _ in stage.sent) == "".join(f"{n}\n" for n in range(1000))
    assert not stage.lines.text


def test_the_order_over_streams_and_cells_is_kept():
    stage = Stage()
    for cell, stream in (("c", "stdout"), ("c", "stderr"), ("d", "stderr"), ("c", "stdout")):
        stage.lines.add(cell, stream, f"{cell} {stream}\n", hold=True)
    stage.lines.flush()
    stage.lines.flush()
    assert [text for _, text, _ in stage.sent] == [
        "c stdout\n", "c stderr\n", "d stderr\n", "c stdout\n",
    ]  # fmt: skip
