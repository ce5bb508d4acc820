"""The environment variables of a call that runs in this process.

Owns setting them for the time of the call. Rule: what else an environment asks for needs a process
of its own, and is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting.environments import expanded
from nbray.runtime_env import RuntimeEnv

_HERE = frozenset({"env_vars", "config", "excludes"})


@contextmanager
def variables(text: str) -> Iterator[None]:
    """Set the variables of the environment *text* (JSON) and put back what was there.

    Calls of asynchronous actors that run at once see each other's.

    Raises:
        RuntimeEnvSetupError: it asks for more than variables.
    """
    env = json.loads(text)
    more = sorted(name for name in env if name in RuntimeEnv.known_fields - _HERE)
    if more:
        raise RuntimeEnvSetupError(
            f"runtime_env: the inline engine sets env_vars only, not {', '.join(more)}: all work "
            "runs in this process (use engine='native')"
        )
    before = {}
    for name, value in (env.get("env_vars") or {}).items():
        before[name] = os.environ.get(name)
        os.environ[name] = expanded(value, os.environ)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
