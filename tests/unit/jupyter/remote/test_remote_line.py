"""The options of `%%remote`."""

import pytest

from nbray.jupyter.remote.remote_line import RemoteLine, parse


def test_an_empty_line_asks_for_nothing():
    assert parse("  ") == RemoteLine()


@pytest.mark.parametrize(
    ("line", "outputs"),
    [
        ("-o a", ("a",)),
        ("-o a,b", ("a", "b")),
        ("-o a, b --bg", ("a", "b")),
        ("-o a -o b,a", ("a", "b")),
        ("-oa", ("a",)),
        ("-o=a", ("a",)),
    ],
)
def test_outputs(line, outputs):
    assert parse(line).outputs == outputs


@pytest.mark.parametrize(
    ("line", "target", "iterable"),
    [
        ("--each x in data", "x", "data"),
        ("--each path in photos -o sizes", "path", "photos"),
        ("-o a --each i, x in enumerate(items) --cpus 2", "i, x", "enumerate(items)"),
        ("-o a --each i, x in enumerate(items) --num-cpus 2", "i, x", "enumerate(items)"),
        ("--each x in [1, 2, -o]  --bg", "x", "[1, 2, -o]"),
        ("--each x in f('a --bg b') --bg", "x", "f('a --bg b')"),
        ("--each (i, (a, b)) in pairs", "(i, (a, b))", "pairs"),
        ("--each x in {n: 1 for n in 'ab'}", "x", "{n: 1 for n in 'ab'}"),
        ("--each first, *rest in rows", "first, *rest", "rows"),
        ("--each x in 1, 2, 3", "x", "1, 2, 3"),
    ],
)
def test_each(line, target, iterable):
    asked = parse(line)
    assert (asked.target, asked.iterable) == (target, iterable)


def test_item_names():
    assert set(parse("--each i, (a, *b) in x").item_names) == {"i", "a", "b"}
    assert parse("").item_names == ()


def test_resources_and_flags():
    asked = parse("""--cpus 0.5 --gpus=1 --resources '{"disk": 2}' --retries 3 --bg --nodes all""")
    assert asked.options == {
        "num_cpus": 0.5,
        "num_gpus": 1,
        "resources": {"disk": 2},
        "max_retries": 3,
        "retry_exceptions": True,
    }
    assert asked.background
    assert asked.all_nodes


def test_resources_need_no_quotes():
    assert parse('--resources {"a": 1, "b": 2} -o x').options == {"resources": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "unexpected 'hello'"),
        ("--cpu 2", "unknown option --cpu, did you mean --cpus"),
        ("--frobnicate", "usage"),
        ("-x", "unknown option -x"),
        ("--cpus", "--cpus needs a value"),
        ("--cpus many", "--cpus takes a number"),
        ("--cpus -1", "--cpus takes a number"),
        ("--cpus nan", "--cpus takes a number"),
        ("-o", "-o needs a value"),
        ("-o 3x", "names of variables"),
        ("-o ,", "-o needs a name"),
        ("--each x", "loop's head"),
        ("--each x.y in z", "plain names"),
        ("--each x in a --each y in b", "once"),
        ("--each x in a --nodes all", "cannot be combined"),
        ("--nodes some", "'all'"),
        ("--resources 3", "JSON"),
        ("--resources '{'", "JSON"),
        ("--retries 1.5", "whole number"),
        ("-o 'a", "not closed"),
    ],
)
def test_bad_lines_are_one_sentence(line, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(line)
    assert "\n" not in str(caught.value)
