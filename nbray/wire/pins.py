"""Numbers of pins: what a process of a machine uses of its node's store.

Owns the numbers alone. Does not own the file in which they are pinned (`runtime.store.pins`).
Rule: who views an object pins its generation; who fills one pins a number of its own, by which
its node knows it before there is a generation.
"""

_FILLERS = 1 << 62
_TOKEN_BITS = 28
_CLIENT_BITS = 32


def filler_pin(client: int, token: int) -> int:
    """The pin of *client* (its id) for what it fills, having asked for room under *token*."""
    local = client & (1 << _CLIENT_BITS) - 1
    return _FILLERS | local << _TOKEN_BITS | token & (1 << _TOKEN_BITS) - 1
