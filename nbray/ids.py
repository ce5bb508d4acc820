"""Who is who: integer identities that say where a process lives.

Owns the packing of process identities and the hexadecimal forms users see.
Does not own allocation: the head numbers nodes, a node numbers its workers.

A *client* (driver, worker, node or head) is one 64-bit integer: the upper half
is the node's number in the cluster, the lower half the process's number on
that node. A message is therefore routed by arithmetic alone, and the path of
an inbox follows from the identity. Numbers are never used twice in a cluster.
"""

from __future__ import annotations

import os

ObjectKey = tuple[int, int]
"""Names one object, or an actor's life. What the two numbers mean knows the engine that made them:
they may be of any size, and nobody else takes them apart."""

LOCAL_BITS = 32
LOCAL_MASK = (1 << LOCAL_BITS) - 1
NODE_LOCAL = 0
"""The local number of every node process."""
HEAD_LOCAL = 1
"""The local number of the head, which lives on node 1."""
FIRST_WORKER_LOCAL = 2
DRIVER_FLAG = 1 << 31
"""Set in the local numbers of drivers, which choose theirs at random."""
FIRST_NODE = 1
NODE_LABEL = "ray.io/node-id"
"""The label that every node has: its id."""
OWN_CELL = "nbray"
"""The cell of what nbray itself asks of a cluster for its users: screens leave it out."""
OWN_NAMESPACE = "_nbray"
"""The namespace of actors that serve nbray itself: a cluster that has no others keeps nothing."""


class HexId(str):
    """An id as users see it, which also has what Ray's ids have."""

    __slots__ = ()

    def hex(self) -> str:
        """The hexadecimal digits."""
        return str(self)

    def binary(self) -> bytes:
        """The bytes that they stand for."""
        return bytes.fromhex(self)

    def is_nil(self) -> bool:
        """Whether it names nothing."""
        return not self


def drawn() -> int:
    """A number of 63 random bits, never 0 (`secrets` would load OpenSSL: 5 ms)."""
    return int.from_bytes(os.urandom(8), "big") >> 1 | 1


def client_id(node: int, local: int) -> int:
    """Pack a node's number and a process's local number into a client id."""
    return (node << LOCAL_BITS) | local


def node_of(client: int) -> int:
    """The number of the node on which *client* lives."""
    return client >> LOCAL_BITS


def local_of(client: int) -> int:
    """The number of *client* on its own node."""
    return client & LOCAL_MASK


def is_driver(client: int) -> bool:
    """Whether *client* is a driver (a kernel or a script) rather than a worker."""
    return bool(client & DRIVER_FLAG)


_PADDING = "f" * 8
_FIRST = "01000000"
"""Ids that users see are as long as Ray's, which have more to say; an object's ends with its number
among what its task returns."""


HEAD = client_id(FIRST_NODE, HEAD_LOCAL)


def node_client(node: int) -> int:
    """The client id of the node process of node number *node*."""
    return client_id(node, NODE_LOCAL)


def client_hex(client: int) -> str:
    """16 hexadecimal digits, as in paths and logs."""
    return f"{client:016x}"


def worker_hex(client: int) -> str:
    """The id of a process as users see it: 56 hexadecimal digits."""
    return f"{client:016x}{_PADDING * 5}"


def job_hex(client: int) -> str:
    """The id of a driver's job as users see it: 8 hexadecimal digits, drawn at random."""
    return f"{client & LOCAL_MASK:08x}"


def actor_hex(owner: int, actor: int) -> str:
    """32 hexadecimal digits naming an actor in the cluster."""
    return f"{owner:016x}{actor:016x}"


def task_hex(owner: int, seq: int) -> str:
    """48 hexadecimal digits naming a task in the cluster: the first of those of its return."""
    return f"{owner:016x}{seq:016x}{_PADDING * 2}"


def driver_task_hex(job: int) -> str:
    """The id that what a driver submits itself has as its parent's."""
    return f"{_PADDING * 5}{job_hex(job)}"


def object_hex(owner: int, seq: int) -> str:
    """56 hexadecimal digits naming one object in the cluster."""
    return f"{owner:016x}{seq:016x}{_PADDING * 2}{_FIRST}"


def object_numbers(binary: bytes) -> ObjectKey:
    """What `object_hex` was made of, from its bytes."""
    return int.from_bytes(binary[:8], "big"), int.from_bytes(binary[8:16], "big")


def node_hex(node: int, cluster: int = 0) -> str:
    """The node id users see: 56 hexadecimal digits, unique across clusters."""
    return f"{cluster:016x}{'0' * 24}{node:016x}"
