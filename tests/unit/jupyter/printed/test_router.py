"""What tasks print and display: when it is drawn, and under which cell."""

from __future__ import annotations

import io

import pytest
from fake_kernel import Kernel, Shell

from nbray.events import Display, Output
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.printed.router import DRAW, REST, Router


class Stage:
    """A router in a kernel that remembers, under a clock of its own."""

    def __init__(self):
        self.kernel = Kernel()
        self.shell = Shell(self.kernel)
        self.cells = Cells()
        self.cells.attach(self.shell)
        self.now = 100.0
        self.left = 0
        self.router = Router(self.cells, lambda cell: self.left, lambda: self.now)
        self.router._watch = lambda: None  # `tick` is called by hand

    def begin(self, cell):
        self.kernel.receive(cell)
        self.shell.events.fire("pre_run_cell")

    def end(self, cell):
        self.router.cell_ended(cell)
        self.shell.events.fire("post_run_cell")

    def say(self, text, cell="c", pid=1, stream="stdout"):
        self.router(Output(cell, 1, "lab", pid, "f", stream, text))

    def drawn(self):
        """(kind, parent's cell, text) of each message."""
        return [
            (one["kind"], one["parent"]["header"]["msg_id"], one["content"]["data"]["text/plain"])
            for one in self.kernel.sent
        ]


@pytest.fixture
def stage():
    return Stage()


def test_text_comes_at_once_and_then_in_the_same_place(stage):
    stage.begin("c")
    stage.say("a\n")
    stage.say("b\n")
    assert stage.drawn() == [("display_data", "c", "a")]
    stage.now += DRAW
    stage.router.tick()
    assert stage.drawn()[1:] == [("update_display_data", "c", "a\nb")]
    ids = {one["content"]["transient"]["display_id"] for one in stage.kernel.sent}
    assert len(ids) == 1


def test_what_comes_after_the_cell_cleared_its_output_away_stands_alone(stage):
    stage.begin("c")
    stage.say("a\n")
    stage.shell.display_pub.clear_output("c")
    stage.router.tick()
    stage.say("b\n")
    stage.say("d\n", pid=2)
    stage.router.flush()
    assert [kind for kind, *_ in stage.drawn()].count("display_data") == 2
    text = stage.drawn()[-1][2]
    assert "b" in text.split()
    assert "a" not in text.split()
    log = stage.router.logs.get("c")
    assert [line.text for _, line in log.lines()] == ["a", "b", "d"]
    assert log.size == (3, 2)


def test_a_flood_is_a_few_messages(stage):
    stage.begin("c")
    for number in range(1000):
        stage.say(f"{number}\n" * 100)
        if number % 100 == 0:
            stage.now += DRAW
    assert len(stage.kernel.sent) <= 11
    assert sum(len(str(one["content"])) for one in stage.kernel.sent) < 200_000
    assert len(stage.router.logs.get("c").lines()) == 100_000


def test_a_cells_end_shows_everything_that_is_there(stage):
    stage.begin("c")
    stage.say("a\n")
    stage.say("b\n")
    stage.end("c")
    assert stage.drawn()[-1] == ("update_display_data", "c", "a\nb")


def test_what_comes_late_stays_with_its_cell_while_another_runs(stage):
    stage.begin("c")
    stage.say("early\n")
    stage.end("c")
    stage.begin("d")
    stage.now += DRAW
    stage.say("late\n")
    kind, _, text = stage.drawn()[-1]
    assert (kind, text) == ("update_display_data", "early\nlate")
    stage.say("mine\n", "d")
    assert stage.drawn()[-1] == ("display_data", "d", "mine")


def test_a_place_is_kept_for_what_unfinished_work_will_print(stage):
    stage.begin("c")
    stage.left = 3
    stage.end("c")
    assert stage.drawn() == [("display_data", "c", "")]
    stage.say("late\n")
    assert stage.drawn()[-1][0] == "update_display_data"


def test_quiet_cells_get_no_place(stage):
    stage.begin("c")
    stage.end("c")
    assert stage.drawn() == []


def test_all_that_may_be_folded_out_is_drawn_when_nothing_comes_any_more(stage):
    stage.begin("c")
    stage.say("x\n" * 300)
    assert stage.router.tick()
    before = len(stage.kernel.sent[-1]["content"]["data"]["text/html"])
    stage.now += REST
    assert not stage.router.tick()
    assert len(stage.kernel.sent[-1]["content"]["data"]["text/html"]) > before
    count = len(stage.kernel.sent)
    stage.now += REST
    assert not stage.router.tick()
    assert len(stage.kernel.sent) == count


def test_rich_output_follows_the_text_before_it(stage):
    stage.begin("c")
    stage.say("a\n")
    stage.say("b\n")
    stage.router(Display("c", 1, "lab", 1, "f", {"text/plain": "a picture"}, {}, "id", False))
    stage.router(Display("c", 1, "lab", 1, "f", {"text/plain": "another"}, {}, "id", True))
    assert [text for _, _, text in stage.drawn()] == ["a", "a\nb", "a picture", "another"]
    assert stage.drawn()[-1][0] == "update_display_data"


def test_the_thread_draws_what_is_left_and_ends(monkeypatch):
    from harness import eventually

    from nbray.jupyter.printed import router as output

    monkeypatch.setattr(output, "IDLE", 0.05)
    stage = Stage()
    del stage.router._watch
    stage.begin("c")
    stage.say("a\n")
    stage.say("b\n")
    stage.now += DRAW
    assert eventually(lambda: stage.drawn()[-1][2] == "a\nb")
    assert eventually(lambda: stage.router._thread is None)


def test_in_a_terminal_it_is_printed(capsys):
    cells = Cells()
    cells.attach(Shell())
    router = Router(cells)
    router(Output("c", 1, "lab", 1, "f", "stderr", "oops\n"))
    router(Output("c", 1, "lab", 1, "f", "stdout", ""))
    assert capsys.readouterr().err == "oops\n"


class Holds:
    """Something that holds what one cell shows."""

    def __init__(self, cell, out=None, pub=None, box=""):
        self.cell, self.out, self.pub, self.open = cell, out, pub, box

    def stream(self, cell, name):
        return self.out if cell == self.cell and name == "stdout" else None

    def publisher(self, cell):
        return self.pub if cell == self.cell else None

    def box(self, cell):
        return self.open if cell == self.cell else ""


def test_held_text_goes_there_and_nowhere_else(stage):
    stage.begin("c")
    stage.say("before\n")
    stage.cells.held = Holds("c", out=io.StringIO())
    stage.say("held\n")
    stage.say("an error\n", stream="stderr")
    stage.say("other\n", "d")
    assert stage.cells.held.out.getvalue() == "held\n"
    stage.cells.held = Holds("")
    stage.say("late\n")
    stage.end("c")
    assert "before\nan error\nlate" in [text for _, _, text in stage.drawn()]
    assert all("held" not in text for _, _, text in stage.drawn())


def test_held_text_of_a_closed_stream_comes_under_the_cell(stage):
    stage.begin("c")
    out = io.StringIO()
    out.close()
    stage.cells.held = Holds("c", out=out)
    stage.say("held\n")
    assert stage.drawn() == [("display_data", "c", "held")]


def test_held_displays_go_to_the_publisher(stage):
    class Keeps:
        def __init__(self):
            self.kept = []

        def publish(self, data, metadata, *, transient, update):
            self.kept.append((data["text/plain"], transient, update))

    stage.begin("c")
    stage.cells.held = Holds("c", pub=Keeps())
    stage.router(Display("c", 1, "lab", 1, "f", {"text/plain": "a picture"}, {}, "id", False))
    stage.router(Display("c", 1, "lab", 1, "f", {"text/plain": "another"}, {}, "id", True))
    stage.router(Display("d", 1, "lab", 1, "f", {"text/plain": "not held"}, {}, "", False))
    assert stage.cells.held.pub.kept == [
        ("a picture", {"display_id": "id"}, False), ("another", {"display_id": "id"}, True),
    ]  # fmt: skip
    assert [text for _, _, text in stage.drawn()] == ["not held"]


@pytest.mark.parametrize("cell", ["c", ""])
def test_an_output_widget_gets_lines_with_its_own_message(stage, cell):
    stage.begin("c")
    stage.cells.held = Holds(cell, box="click")
    stage.say("a\n", cell)
    stage.say("b\n", cell, stream="stderr")
    sent = [
        (one["kind"], one["parent"]["header"]["msg_id"], one["content"]["text"])
        for one in stage.kernel.sent
    ]
    assert sent == [("stream", "click", "a\n"), ("stream", "click", "b\n")]


def test_a_front_end_that_draws_no_updates_gets_every_line(stage):
    stage.begin("c")
    stage.cells._updates = False
    for number in range(16):
        stage.say(f"{number}\n", pid=number)
    stage.end("c")
    texts = [one["content"]["text"] for one in stage.kernel.sent if one["kind"] == "stream"]
    assert "".join(texts) == "".join(f"{number}\n" for number in range(16))
    assert len(stage.router.logs.get("c").lines()) == 16
