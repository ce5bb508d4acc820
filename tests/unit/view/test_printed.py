"""What tasks printed, under their cell: one block a node and worker, counted."""

from __future__ import annotations

from scenes import HOSTILE

from nbray.view.printed import PLAIN, Printed, Worker, log_html, printed_html, printed_text
from nbray.view.screen import Line


def some(*workers: tuple[str, int, list[str]], recent: int = 10) -> Printed:
    made = [
        Worker(node, pid, len(lines), tuple(Line(i, text, False) for i, text in enumerate(lines)))
        for node, pid, lines in workers
    ]
    pairs = [(worker, line) for worker in made for line in worker.lines]
    pairs.sort(key=lambda pair: pair[1].order)
    return Printed(tuple(made), tuple(pairs[-recent:]), "In[3]")


def test_a_few_lines_of_one_worker_look_like_the_cells_own() -> None:
    html = printed_html(some(("laptop", 7, ["  indented", "", "end"])))
    assert "<details" not in html
    assert "nbray-output" in html
    assert "<pre>\n  indented\n\nend\n</pre>" in html
    assert printed_text(some(("laptop", 7, ["a", "b"]))) == "a\nb"


def test_several_workers_fold_with_counts() -> None:
    workers = ("laptop", 7, ["a", "b"]), ("laptop", 8, ["c"]), ("lab-gpu", 9, ["d"])
    printed = some(*workers)
    assert printed_html(printed).count("<details") == 1, "all is in sight: nothing to fold"
    html = printed_html(some(*workers, recent=3))
    assert "<b>Output</b> · 2 nodes, 3 workers, 4 lines" in html
    assert "<b>laptop · pid 7</b> · 2 lines" in html
    assert "<b>lab-gpu · pid 9</b> · 1 line<" in html
    assert html.count("<details open>") == 1
    assert html.count("<details>") == 3
    assert "<u>laptop · pid 8</u>  c" in html
    assert "<u>lab-gpu</u>  d" in html
    assert printed_text(printed).splitlines() == [
        "Output · 2 nodes, 3 workers, 4 lines",
        "laptop · pid 7  a", "laptop · pid 8  c", "lab-gpu         d", "laptop · pid 7  b",
    ]


def test_many_lines_say_how_many_are_not_shown_and_where_they_are() -> None:
    worker = Worker("laptop", 7, 100_000, (Line(9, "last", False),))
    printed = Printed((worker,), ((worker, worker.lines[0]),), "In[3]")
    html = printed_html(printed)
    assert "<b>Output</b> · 100,000 lines" in html
    said = "<u>... 99,999 earlier lines: %nbray logs In[3]</u>\nlast\n"
    assert html.count(said) == 2, "above the lines in sight, and in the fold"
    assert "99,999 earlier lines: %nbray logs In[3]" in printed_text(printed)
    assert len(html) < 10_000 + html.index("</style>")


def test_very_long_lines_are_cut_and_say_so() -> None:
    html = printed_html(some(("laptop", 7, ["x" * 1_000_000])))
    assert "998,000 more characters" in html
    assert len(html) < 20_000


def test_errors_are_red_and_text_is_escaped() -> None:
    worker = Worker("laptop", 7, 1, (Line(1, HOSTILE, True),))
    html = printed_html(Printed((worker,), ((worker, worker.lines[0]),)))
    assert '<span class="nbray-err">' in html
    assert "<script" not in html


def test_nothing_printed_is_nothing_shown() -> None:
    assert printed_html(some()) == ""


def test_one_line_above_the_limit_folds() -> None:
    assert "<details" not in printed_html(some(("a", 1, ["x"] * PLAIN), recent=PLAIN))
    assert "<details" in printed_html(some(("a", 1, ["x"] * (PLAIN + 1)), recent=PLAIN))


def test_a_log_shows_every_line_it_is_given() -> None:
    html = log_html([("laptop 7", Line(1, " a", False)), ("", Line(2, "b", True))], "3 earlier")
    assert "<u>laptop 7</u>   a\n" in html
    assert '<span class="nbray-err">b</span>' in html
    assert "... 3 earlier" in html
