"""Labels of nodes, and what work asks of them.

Owns their grammar (that of Kubernetes, as in Ray) and whether labels satisfy conditions. Does
not own who has which labels (nodes), nor what follows for work (`core.placement`). Rule: a label
that a node does not have is neither in any list nor equal to anything.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_PREFIX = rf"{_NAME}?(?:\.{_NAME}?)*"
_SHAPE = (
    "with dashes (-), underscores (_), dots (.), and alphanumerics between, of at most 63 "
    "characters, beginning and ending with an alphanumeric character"
)

Conditions = tuple[tuple[str, str, tuple[str, ...]], ...]
"""(key, 'in', 'not in', 'exists' or 'lacks', values), all of which must hold."""


@functools.cache
def _grammar(what: str) -> re.Pattern[str]:
    values = rf"!?in\({_NAME}(?:, ?{_NAME})*\)|!?{_NAME}"
    return re.compile({"name": _NAME, "prefix": _PREFIX, "value": values}[what])


def check_key(key: str) -> None:
    """Refuse what is no label's name.

    Raises:
        ValueError: it is none; says why.
    """
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _grammar("prefix").fullmatch(prefix)):
        raise ValueError(
            f"Invalid label key prefix `{prefix}`. Prefix must be a series of DNS labels separated "
            "by dots (.), of at most 253 characters"
        )
    if not _grammar("name").fullmatch(name):
        raise ValueError(
            f"Invalid label key name `{name}`. Name must be letters or digits {_SHAPE}"
        )


def selector(name: str, given: Any) -> Conditions:
    """What `label_selector` says: 'x', '!x', 'in(x, y)' or '!in(x, y)' for each key.

    Raises:
        TypeError, ValueError: it is no dictionary of strings, or not in that grammar.
    """
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise TypeError(
            f"The type of keyword '{name}' must be a dictionary of strings, but received type "
            f"{type(given)}"
        )
    found = []
    for key, text in given.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"{name} must be a dictionary of strings, not {given!r}")
        check_key(key)
        if text and not _grammar("value").fullmatch(text):
            raise ValueError(
                f"Invalid label selector value `{text}`. It is a value, !value, in(value, ...) or "
                f"!in(value, ...); a value is letters or digits {_SHAPE}"
            )
        rest = text.removeprefix("!")
        inside = rest[3:-1] if rest.startswith("in(") else rest
        values = tuple(value.strip() for value in inside.split(","))
        found.append((key, "not in" if rest != text else "in", values))
    return tuple(found)


def check(given: Any, what: str = "labels") -> dict[str, str]:
    """*given* as labels of a node.

    Raises:
        TypeError, ValueError: it is no dictionary of strings in the grammar of labels.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{what} must be a dictionary of strings, not {type(given).__name__}")
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ValueError(f"{what}: the key and the value of {key!r} must be strings")
        check_key(key)
        if value and not _grammar("name").fullmatch(value):
            raise ValueError(
                f"Invalid label key value `{value}`. Value must be letters or digits {_SHAPE}"
            )
    return dict(given)


def parse(text: str) -> dict[str, str]:
    """What `--labels=key=value,key=value` says.

    Raises:
        ValueError: it is not of that form.
    """
    text = text.strip().strip('"')
    found: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        key, equal, value = pair.partition("=")
        if not equal or "=" in value:
            raise ValueError(f"labels are KEY=VALUE pairs, with commas between, not {pair!r}")
        found[key.strip()] = value.strip()
    return check(found)


def parse_file(text: str) -> dict[str, str]:
    """What a file of labels says: YAML's plain `key: value` lines, or JSON.

    Raises:
        ValueError: it says something else.
    """
    import json  # late: few ask

    if text.lstrip().startswith("{"):
        return check(json.loads(text))
    found: dict[str, str] = {}
    for line in text.splitlines():
        plain = line.split(" #")[0].strip()
        if not plain or plain.startswith(("#", "---")):
            continue
        key, colon, value = plain.partition(":")
        if not colon:
            raise ValueError(f"a file of labels has lines like `key: value`, not {line!r}")
        found[_unquoted(key)] = _unquoted(value)
    return check(found)


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def satisfied(labels: Mapping[str, str], conditions: Iterable[tuple[str, str, tuple[str, ...]]],
              ) -> bool:  # fmt: skip
    """Whether *labels* are as all *conditions* want them."""
    for key, kind, values in conditions:
        value = labels.get(key)
        if kind == "in":
            held = value is not None and value in values
        elif kind == "not in":
            held = value is None or value not in values
        else:
            held = (value is not None) == (kind == "exists")
        if not held:
            return False
    return True


def said(conditions: Iterable[tuple[str, str, tuple[str, ...]]]) -> str:
    """'zone=a, disk in (ssd, nvme), gpu is there': conditions as people read them."""
    parts = []
    for key, kind, values in conditions:
        if kind in {"in", "not in"}:
            if len(values) == 1:
                parts.append(f"{key}{'=' if kind == 'in' else '!='}{values[0]}")
            else:
                parts.append(f"{key} {kind} ({', '.join(values)})")
        else:
            parts.append(f"label {key}" if kind == "exists" else f"no label {key}")
    return ", ".join(parts)
