"""The options of `%%remote`: text in, frozen options or one clear sentence out. Pure.

Owns the grammar of the magic's first line. Does not own what options mean:
`remote_cell` does the work.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

USAGE = (
    "%%remote [-o NAME,...] [--each ITEM in ITERABLE] [--nodes all] [--bg [--name NAME]] "
    "[--cpus N] [--gpus N] [--resources JSON] [--retries N]"
)
VALUED = {
    "-o": "NAME,...", "--name": "NAME", "--each": "ITEM in ITERABLE", "--nodes": "all",
    "--cpus": "N", "--gpus": "N", "--resources": "JSON", "--retries": "N",
}
FLAGS = ("--bg",)
_ALSO = {"--num-cpus": "--cpus", "--num-gpus": "--gpus"}
"""Options as `%nbray start` and Ray call them."""
_NEXT_OPTION = re.compile(r"\s+(?=-o\b|--[a-z])|\s*$")


class RemoteLine(msgspec.Struct, frozen=True):
    """What the first line of a `%%remote` cell asks for."""

    outputs: tuple[str, ...] = ()
    target: str = ""
    """ITEM of `--each`, as source: 'x' or 'i, x' ('' without `--each`)."""
    iterable: str = ""
    """ITERABLE of `--each`, as source."""
    all_nodes: bool = False
    background: bool = False
    name: str = ""
    """Of the job, which then outlives the notebook ('' without `--name`)."""
    options: Mapping[str, Any] = {}
    """Task options, by the names that `.options()` takes."""

    @property
    def item_names(self) -> tuple[str, ...]:
        """The names that ITEM binds."""
        if not self.target:
            return ()
        tree = ast.parse(f"({self.target}) = 0")
        return tuple(
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )


def parse(line: str) -> RemoteLine:
    """Read the options of a `%%remote` line.

    Raises:
        ValueError: the line cannot be read; the message is one sentence for the user.
    """
    outputs: list[str] = []
    fields: dict[str, Any] = {}
    options: dict[str, Any] = {}
    rest = line.strip()
    while rest:
        option, rest = _take_option(rest)
        if option == "--bg":
            fields["background"] = True
            continue
        if not rest:
            raise ValueError(f"{option} needs a value: {option} {VALUED[option]}")
        if option == "--each":
            if "target" in fields:
                raise ValueError("--each can be given once: for two loops use itertools.product")
            fields["target"], fields["iterable"], rest = _take_loop(rest)
            continue
        value, rest = _take_word(rest)
        match option:
            case "-o":
                names, rest = _more_names(value, rest)
                outputs += [name for name in _names(names) if name not in outputs]
            case "--nodes":
                if value != "all":
                    raise ValueError(f"--nodes takes 'all', not {value!r}")
                fields["all_nodes"] = True
            case "--name":
                fields["name"] = _job_name(value)
            case "--cpus" | "--gpus":
                options[f"num_{option[2:]}"] = _amount(option, value)
            case "--resources":
                options["resources"] = _resources(value)
            case _:
                options |= {"max_retries": _retries(value), "retry_exceptions": True}
    if "name" in fields and "background" not in fields:
        raise ValueError("--name names a job in the background: add --bg")
    if "target" in fields and "all_nodes" in fields:
        raise ValueError("--each and --nodes all cannot be combined: choose one")
    return RemoteLine(outputs=tuple(outputs), options=options, **fields)


def _take_option(text: str) -> tuple[str, str]:
    """The option that *text* starts with, and what follows it ('=' or space taken away)."""
    found = re.match(r"(-o(?==|\s|$|[A-Za-z_])|--?[A-Za-z][\w-]*)(=|\s*)", text)
    if found is None:
        word = text.split(maxsplit=1)[0]
        raise ValueError(f"unexpected {word!r}; usage: {USAGE}")
    option = _ALSO.get(found[1], found[1])
    if option not in VALUED and option not in FLAGS:
        near = difflib.get_close_matches(option, [*VALUED, *FLAGS], n=1)
        hint = f", did you mean {near[0]}?" if near else f"; usage: {USAGE}"
        raise ValueError(f"unknown option {option}{hint}")
    return option, text[found.end() :]


def _take_loop(text: str) -> tuple[str, str, str]:
    """(ITEM, ITERABLE, what follows): the shortest text that reads as a loop's head."""
    for found in _NEXT_OPTION.finditer(text):
        head = text[: found.start()]
        try:
            tree = ast.parse(f"for {head}: pass")
        except SyntaxError:
            continue
        loop = tree.body[0]
        if len(tree.body) == 1 and isinstance(loop, ast.For) and len(loop.body) == 1:
            _check_target(loop.target)
            source = f"for {head}: pass"
            target = ast.get_source_segment(source, loop.target) or ""
            iterable = ast.get_source_segment(source, loop.iter) or ""
            return target, iterable, text[found.end() :].strip()
    raise ValueError(f"--each reads like a loop's head, as in --each x in data, not {text!r}")


def _check_target(target: ast.expr) -> None:
    match target:
        case ast.Name():
            return
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                _check_target(part)
        case ast.Starred(value=value):
            _check_target(value)
        case _:
            raise ValueError("--each binds plain names, as in --each i, x in enumerate(data)")


def _take_word(text: str) -> tuple[str, str]:
    """The next word of *text*, quotes honoured and taken away, and what follows."""
    source = io.StringIO(text)
    lexer = shlex.shlex(source, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        word = lexer.get_token()
    except ValueError as error:
        raise ValueError(f"a quotation mark is not closed in {text!r}") from error
    rest = source.read()
    if text.startswith(("{", "[")) and word is not None:
        # Unquoted JSON: as far as it goes, quotes and spaces included.
        try:
            _, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            return word, rest.strip()
        return text[:end], text[end:].strip()
    return word or "", rest.strip()


def _more_names(value: str, rest: str) -> tuple[str, str]:
    """`-o a, b` is read as `-o a,b`."""
    while value.endswith(",") and rest and not rest.startswith("-"):
        word, rest = _take_word(rest)
        value += word
    return value, rest


def _names(value: str) -> list[str]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    for name in names:
        if not name.isidentifier():
            raise ValueError(f"-o takes names of variables, not {name!r}")
    if not names:
        raise ValueError("-o needs a name: -o NAME,...")
    return names


def _job_name(value: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", value):
        raise ValueError(f"--name takes a word such as train-2, not {value!r}")
    return value


def _amount(option: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise ValueError(f"{option} takes a number of at least 0, not {value!r}")
    return int(number) if number == int(number) else number


def _resources(value: str) -> dict[str, float]:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"--resources takes JSON such as '{{\"name\": 1}}', not {value!r}")
    return found


def _retries(value: str) -> int:
    if not re.fullmatch(r"-1|\d+", value):
        raise ValueError(f"--retries takes a whole number (-1: without end), not {value!r}")
    return int(value)
