"""The commands of `%nbray`: which there are, what each takes, and how a line is read.

Owns the table, its help, and what the Tab key offers. Does not own what the
commands do (`cluster_magic`). Rule: a line that makes no sense is one sentence,
with the nearest that does.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence

import msgspec
from IPython.core.error import UsageError


class Command(msgspec.Struct, frozen=True):
    """One command of `%nbray`."""

    usage: str
    says: str
    """What it is for."""
    options: Mapping[str, str] = {}
    """Options that take a value, and the name under which it is passed on."""
    flags: tuple[str, ...] = ()
    """Options without a value."""
    takes: tuple[str, ...] | None = None
    """Plain words it may begin with; (): any; None: it takes no plain words."""


COMMANDS = {
    "start": Command(
        "%nbray start [--cpus N] [--detach] [--infeasible wait] [--engine ray]",
        "start a cluster on this machine; --detach: it outlives the notebook; --infeasible wait: "
        "what no node can do waits for one that can; --engine ray: a Ray cluster",
        options={
            "--cpus": "--cpus", "--num-cpus": "--cpus", "--infeasible": "--infeasible",
            "--engine": "--engine",
        },
        flags=("--detach",),
    ),
    "attach": Command(
        "%nbray attach [HOST:PORT] [--secret-file FILE] [--engine ray]",
        "use a cluster that runs already (without an address: the youngest here); --engine ray: "
        "a Ray cluster",
        options={
            "--secret": "--secret", "--redis-password": "--secret", "--address": "--address",
            "--secret-file": "--secret-file", "--engine": "--engine",
        },
        takes=(),
    ),
    "join": Command("%nbray join", "how another machine joins this cluster"),
    "dashboard": Command("%nbray dashboard", "the link to the cluster in a browser"),
    "status": Command("%nbray status", "the nodes, and what they do"),
    "jobs": Command(
        "%nbray jobs [stop NAME | forget NAME]",
        "the named background jobs (%%remote --bg --name NAME)",
        takes=("stop", "forget"),
    ),
    "stop": Command(
        "%nbray stop [--cluster]",
        "leave the cluster, and end it if it is this notebook's; --cluster: end it for all",
        flags=("--cluster",),
    ),
    "logs": Command(
        "%nbray logs [CELL | PID | NODE] [--save FILE]",
        "all that tasks have printed, of a cell, a worker or a node",
        options={"--save": "--save"},
        takes=(),
    ),
    "receipt": Command(
        "%nbray receipt [CELL]",
        "what the work of a cell took, and what would make it faster",
        takes=(),
    ),
    "memory": Command("%nbray memory", "what lies in the object store, and who holds it"),
    "free": Command("%nbray free", "let go what only past outputs hold"),
    "published": Command(
        "%nbray published [free NAME]",
        "data that any notebook of this cluster reads by name: nbray.published(NAME)",
        takes=("free",),
    ),
    "debug": Command(
        "%nbray debug [FRAME] [-o NAME,NAME]",
        "look at the frames of the last failure of a task; -o: take its variables",
        options={"-o": "-o", "--output": "-o"},
        takes=(),
    ),
    "help": Command("%nbray help [COMMAND]", "this list", takes=()),
}  # fmt: skip


def read(line: str) -> tuple[str, list[str], dict[str, str]]:
    """(command, its plain words, its options by the names under which they are passed on).

    Raises:
        UsageError: the line does not make sense; one sentence.
    """
    try:
        words = shlex.split(line)
    except ValueError:
        raise UsageError("%nbray: a quotation mark is not closed") from None
    if not words:
        words = ["status"]
    command, rest = words[0], words[1:]
    if command in {"-h", "--help"}:
        command = "help"
    elif {"-h", "--help"} & set(rest):
        command, rest = "help", [command]
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean %nbray {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        raise UsageError(f"%nbray: unknown command {command!r}; {hint}")
    return command, *_read(command, rest)


def _read(command: str, words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """(plain words, options) of *command*; '--a=b' and '--a b' alike."""
    what = COMMANDS[command]
    values: list[str] = []
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") and word not in what.options:
            values.append(word)
            continue
        name, equals, value = word.partition("=")
        if word in what.flags:
            options[word] = "yes"
            continue
        if name not in what.options:
            near = difflib.get_close_matches(name, [*what.options, *what.flags], n=1)
            hint = f"did you mean {near[0]}?" if near else f"usage: {what.usage}"
            raise UsageError(f"%nbray {command}: unknown option {name}; {hint}")
        if not equals:
            if not rest:
                raise UsageError(f"%nbray {command}: {name} needs a value; {what.usage}")
            value = rest.pop(0)
        options[what.options[name]] = value
    if what.takes is None and values:
        raise UsageError(f"%nbray {command}: unexpected {values[0]!r}; usage: {what.usage}")
    return values, options


def helped(command: str = "") -> str:
    """The commands, a line each; or that of *command*, with its usage.

    Raises:
        UsageError: there is no such command.
    """
    command = command.lstrip("%")
    if command and command not in COMMANDS:
        raise UsageError(
            f"%nbray help: unknown command {command!r}; there are {', '.join(COMMANDS)}"
        )
    if command:
        return f"{COMMANDS[command].usage}\n    {COMMANDS[command].says}"
    wide = max(len(one.usage) for one in COMMANDS.values())
    lines = [f"{one.usage.ljust(wide)}  {one.says}" for one in COMMANDS.values()]
    return "\n".join([
        *lines, "", "%%remote runs a cell on the cluster: %%remote? has its options.",
    ])  # fmt: skip


def complete(line: str) -> list[str]:
    """What may follow in *line*, which begins with `%nbray` (for the Tab key)."""
    words = line.split()
    last = "" if line[-1:].isspace() else words[-1]
    if len(words) - bool(last) < 2:
        return [name for name in COMMANDS if name.startswith(last.lstrip("%"))] if (
            len(words) > 1 or not last
        ) else []
    command = words[1]
    if command not in COMMANDS:
        return []
    what = COMMANDS[command]
    others = tuple(COMMANDS) if command == "help" else what.takes or ()
    return [word for word in (*others, *what.options, *what.flags) if word.startswith(last)]
