"""The cluster's one secret, and the keys that follow from it.

Owns: making a secret, reading one that a user typed, telling weak ones, and
deriving the CurveZMQ key pairs. Does not own sockets, files or how the secret
travels to other processes (a pipe, never argv or the environment).

Rule: who holds the secret can derive both key pairs, so the server's public
key proves the cluster to a client and the client's public key is the only
credential a server accepts. Key derivation is HKDF with SHA-256 (RFC 5869); a
password that a person chose goes through scrypt (RFC 7914) first.
"""

from __future__ import annotations

import base64
import functools
import math
import os
from typing import NamedTuple

SECRET_BYTES = 32
_TEXT_LENGTH = 43
"""Characters of 32 bytes in unpadded base64url."""
_SALT = b"nbray.secret.v1"
"""Fixed, because every machine must derive the same keys from the same words."""
WEAK_GUESSES = 1e12
"""A password that takes fewer is weak. The salt is fixed, so guesses can be stretched beforehand,
once for all clusters; at 50 ms each, so many take one processor 1,600 years. At the port itself,
which refuses a few thousand a second, they take eight years."""
_JUDGED = 72
"""Characters that are judged; the rest only makes it better."""
_TOPICS = ("nbray", "ray", "cluster", "jupyter", "notebook", "dask", "secret", "redis")
"""Words that come to mind here, and so to a guesser's."""
_WEAK_LENGTH = 12
_WEAK_VARIETY = 6
_KNOWN = frozenset(
    {
        "5241590000000000",
        "password",
        "passw0rd",
        "secret",
        "changeme",
        "letmein",
        "administrator",
        "correcthorsebatterystaple",
        "passwordpassword",
        "qwertyuiopasdfghjkl",
        "abcdefghijklmnop",
        "abcdefghijklmnopqrstuvwxyz",
    }
)
"""Words that everybody tries first; Ray's default password is the first of them."""


class KeyPair(NamedTuple):
    """A CurveZMQ key pair; both halves are 40 bytes of Z85 text."""

    public: bytes
    secret: bytes


class Secret:
    """A cluster's secret. Make one with `generate` or `parse`; never shown by `repr`.

    Attributes:
        text: what a user pastes into `--redis-password`.
    """

    __slots__ = ("__dict__", "_root", "text")

    def __init__(self, text: str, root: bytes) -> None:
        self.text = text
        self._root = root

    @classmethod
    def generate(cls) -> Secret:
        """A new secret of 256 random bits, 43 characters of base64url text."""
        root = os.urandom(SECRET_BYTES)
        return cls(_encode(root), root)

    @classmethod
    def parse(cls, text: str) -> Secret:
        """The secret that *text* stands for: a generated one, or any password.

        A password costs one scrypt (about 50 ms), remembered within the process.

        Raises:
            ValueError: the text is empty.
        """
        text = text.strip()
        if not text:
            raise ValueError("the secret is empty: paste the one that `nbray start --head` printed")
        return cls(text, _decode(text) or _stretch(text))

    @functools.cached_property
    def server_keys(self) -> KeyPair:
        """The key pair of every node's TCP port."""
        return self._key_pair(b"curve server")

    @functools.cached_property
    def client_keys(self) -> KeyPair:
        """The key pair with which nodes and tools dial."""
        return self._key_pair(b"curve client")

    @functools.cached_property
    def credential(self) -> bytes:
        """32 bytes: the client's public key, the only one a server lets in."""
        from zmq.utils import z85

        return z85.decode(self.client_keys.public)

    def accepts(self, credential: bytes) -> bool:
        """Whether *credential* is this secret's; takes the same time either way."""
        import hmac

        return hmac.compare_digest(self.credential, credential)

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def _key_pair(self, purpose: bytes) -> KeyPair:
        import zmq
        from zmq.utils import z85

        private = z85.encode(_hkdf(self._root, purpose))
        return KeyPair(zmq.curve_public(private), private)


def is_weak(text: str) -> bool:
    """Whether *text* is a password that somebody else may guess.

    True for known defaults, fewer than 12 characters, fewer than six different
    characters, digits alone up to 20, and what zxcvbn thinks is found within
    `WEAK_GUESSES`. A generated secret is never weak.
    """
    text = text.strip()
    if _decode(text) is not None:
        return False
    return (
        text.lower() in _KNOWN
        or len(text) < _WEAK_LENGTH
        or len(set(text)) < _WEAK_VARIETY
        or (text.isdigit() and len(text) <= 20)
        or _guesses(text) < WEAK_GUESSES
    )


def _guesses(text: str) -> float:
    """How many guesses somebody needs who knows how people make passwords."""
    try:
        # Only for passwords: its lists of words take a quarter of a second.
        from zxcvbn import zxcvbn
    except ImportError:  # installed by hand, without it: the rules above are what there is
        return math.inf
    return float(zxcvbn(text[:_JUDGED], user_inputs=list(_TOPICS))["guesses"])


def _encode(root: bytes) -> str:
    return base64.urlsafe_b64encode(root).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes | None:
    """The 32 bytes of a generated secret's text, or None when it is a password."""
    if len(text) != _TEXT_LENGTH or not text.isascii():
        return None
    try:
        root = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except ValueError:
        return None
    # The last character has spare bits; only the form we print counts as ours.
    return root if _encode(root) == text else None


@functools.lru_cache(maxsize=4)
def _stretch(password: str) -> bytes:
    import hashlib

    return hashlib.scrypt(
        password.encode(), salt=_SALT, n=2**14, r=8, p=1, maxmem=64 << 20, dklen=SECRET_BYTES
    )


def _hkdf(root: bytes, purpose: bytes) -> bytes:
    """32 bytes of HKDF-SHA256 over *root*: one block of expansion is enough."""
    import hmac  # late: it loads OpenSSL, and a cluster on one machine needs no keys

    key = hmac.digest(_SALT, root, "sha256")
    return hmac.digest(key, b"nbray " + purpose + b"\x01", "sha256")
