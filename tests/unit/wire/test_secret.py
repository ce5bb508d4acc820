"""The secret: its text, its keys, what counts as weak, and that it is never shown."""

import pytest

from nbray.wire.secret import Secret, is_weak


def test_generated_text_parses_to_the_same_secret() -> None:
    made = Secret.generate()
    assert len(made.text) == 43
    assert Secret.parse(made.text).server_keys == made.server_keys
    assert Secret.generate().server_keys != made.server_keys


def test_password_gives_the_same_keys_on_every_machine() -> None:
    one, two = Secret.parse("a long enough password"), Secret.parse(" a long enough password\n")
    assert one.server_keys == two.server_keys
    assert one.client_keys == two.client_keys
    assert one.text == "a long enough password"
    # A golden value: changing the derivation would lock running clusters out.
    assert one.server_keys.public == b">Rz$UKi[5?r>e?ALdY1{w5DN^+7zeh^xEd%itvc8"


def test_server_and_client_keys_differ_and_the_credential_is_the_clients() -> None:
    secret = Secret.generate()
    assert secret.server_keys.secret != secret.client_keys.secret
    assert len(secret.server_keys.public) == 40
    assert len(secret.credential) == 32
    assert secret.accepts(secret.credential)
    assert not secret.accepts(Secret.generate().credential)
    assert not secret.accepts(b"")


def test_noncanonical_base64_is_a_password() -> None:
    made = Secret.generate()
    last = "A" if made.text[-1] != "A" else "E"
    spare = made.text[:-1] + chr(ord(last) + 1)  # the spare bits are not zero
    assert Secret.parse(spare).server_keys != made.server_keys


def test_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret.parse("  ")


@pytest.mark.parametrize(
    "text",
    [
        "5241590000000000", "password", "hunter2", "aaaaaaaaaaaaaaaaaaaa", "12345678901234567",
        "hunter2hunter2", "Password1234", "letmein12345", "iloveyou1234", "qwertyuiop12",
        "admin@admin1", "nbray-cluster", "Passw0rd!Passw0rd!", "1qaz2wsx3edc4rfv",
        "drowssapdrowssap", "january-2026-01-31", "JupyterCluster!", "MichaelJordan23",
    ],
)  # fmt: skip
def test_weak(text: str) -> None:
    assert is_weak(text)


@pytest.mark.parametrize(
    "text",
    [
        "correct horse battery staple", "zebra lamp orbit quilt", "x9$kQ2!pLm#7wB",
        "vier Äpfel neben dem Ofen", "z" + "qkvjxw" * 40,
        pytest.param(Secret.generate().text, id="made"),
    ],
)  # fmt: skip
def test_not_weak(text: str) -> None:
    assert not is_weak(text)


def test_repr_hides_it() -> None:
    secret = Secret.parse("a long enough password")
    assert "password" not in repr(secret)
    assert "password" not in f"{secret}"
