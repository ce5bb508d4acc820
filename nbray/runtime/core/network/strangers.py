"""Who has knocked at a node's port and has not proved who he is: how many, how long, who is told.

Owns the table of such connections, whom to hang up on, and the words about
those that were refused. Does not own sockets: the shell says what happened at
which descriptor, and hangs up. Rules: there are never many more than *most* of
them; the longest-waiting one of the address that has most goes first, so that
nobody's silence keeps anybody else out. Of an address one line a minute is
written, of all at most `LINES`, and one that counts the rest: a flood fills no
disk. Whoever goes by himself without having been refused is not mentioned.
"""

from __future__ import annotations

from collections import Counter

import msgspec

PATIENCE = 4.0
"""Seconds in which a connection must have proved itself."""
FORGOTTEN = 4 * PATIENCE
"""Seconds after which a connection is not remembered, whatever became of it."""
MINUTE = 60.0
LINES = 10
"""Most lines about strangers in a minute, the one that counts the rest not included."""
GONE = "somebody who had gone when it was noticed"
_ADDRESSES = 1000
"""Most addresses that are told apart in a minute."""


class _Stranger(msgspec.Struct):
    address: str
    since: float
    told_to_go: bool = False


class Strangers:
    """Connections by descriptor; at most about *most* at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: dict[int, _Stranger] = {}
        """In the order in which they came."""
        self._counts: Counter[str] = Counter()
        """Connections of each address that have not been told to go."""
        self._refusals: Counter[str] = Counter()
        """Refused in this minute, by address."""
        self._told = 0
        self._began = float("-inf")

    def __len__(self) -> int:
        return len(self._known)

    # -- connections ----------------------------------------------------------------

    def came(self, fd: int, address: str, now: float) -> list[tuple[int, str]]:
        """A connection was accepted; (descriptor, address) of those to hang up on."""
        self.gone(fd)
        self._known[fd] = _Stranger(address, now)
        self._counts[address] += 1
        out = []
        while sum(self._counts.values()) > self.most:
            crowd = max(self._counts, key=lambda one: self._counts[one])
            first = next(
                fd for fd, one in self._known.items()
                if one.address == crowd and not one.told_to_go
            )  # fmt: skip
            out.append(self._send_away(first))
        return out

    def _send_away(self, fd: int) -> tuple[int, str]:
        one = self._known[fd]
        one.told_to_go = True
        self._less(one.address)
        return fd, one.address

    def _less(self, address: str) -> None:
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]

    def gone(self, fd: int) -> str | None:
        """A connection has proved itself or was closed; its address (None: it was no stranger)."""
        one = self._known.pop(fd, None)
        if one is None:
            return None
        if not one.told_to_go:
            self._less(one.address)
        return one.address

    def overdue(self, now: float) -> list[tuple[int, str]]:
        """(descriptor, address) of those that have had their time."""
        late = []
        for fd, one in list(self._known.items()):
            if one.since + PATIENCE > now:
                break  # those that follow came later
            if one.address and not one.told_to_go:
                late.append(fd)
            elif not one.address or one.since + FORGOTTEN <= now:
                self.gone(fd)  # its end came before its beginning was noticed
        return [self._send_away(fd) for fd in late]

    # -- words ----------------------------------------------------------------------

    def refused(self, address: str, why: str, now: float) -> list[str]:
        """A connection was refused: lines for the log, few of them."""
        lines = self.summary(now)
        if not self._refusals:
            self._began = now
        if address not in self._refusals and len(self._refusals) >= _ADDRESSES:
            address = "elsewhere"
        self._refusals[address] += 1
        if self._refusals[address] == 1 and self._told < LINES:
            self._told += 1
            lines.append(f"refused a connection from {address or GONE}: {why}")
        return lines

    def summary(self, now: float) -> list[str]:
        """When a minute is over: what was refused in it and not told."""
        if not self._refusals or now < self._began + MINUTE:
            return []
        total = sum(self._refusals.values())
        most, addresses = self._refusals.most_common(3), len(self._refusals)
        told, self._told = self._told, 0
        self._refusals.clear()
        if total == told:
            return []
        named = ", ".join(f"{address or GONE} ({count:,})" for address, count in most)
        of = f"{addresses:,} address{'es' if addresses > 1 else ''}"
        return [f"refused {total:,} connections within a minute, from {of}, most from {named}"]

    def next_deadline(self) -> float | None:
        """When `overdue` or `summary` has something to say."""
        due = [self._began + MINUTE] if self._refusals else []
        waiting = (one.since for one in self._known.values() if not one.told_to_go)
        due += [since + PATIENCE for since in (next(waiting, None),) if since is not None]
        return min(due, default=None)
