"""The gate: Host, Origin, key and cookie."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nbray.dashboard.access import TICKET_SECONDS, Access, host_name, ticket

KEY = "k" * 32
HERE = "127.0.0.1:8265"


def gate(**more: object) -> Access:
    return Access(KEY, **more)  # type: ignore[arg-type]


def test_without_a_key_401() -> None:
    verdict = gate().judge(HERE, None, "", "")
    assert verdict.status == 401
    assert "link" in verdict.why
    assert gate().judge(HERE, None, "wrong", "wrong").status == 401
    assert gate().judge(HERE, None, KEY + "x", "").status == 401


def test_the_key_opens_and_leaves_a_cookie_that_opens() -> None:
    access = gate()
    first = access.judge(HERE, None, KEY, "")
    assert first.status == 200
    assert KEY not in first.cookie
    then = access.judge(HERE, None, "", first.cookie)
    assert (then.status, then.cookie) == (200, "")


def test_the_cookie_is_good_for_its_host_only() -> None:
    access = gate(hub=True)
    cookie = access.judge("hub.example.org", None, KEY, "").cookie
    assert access.judge("hub.example.org", None, "", cookie).status == 200
    assert access.judge("evil.example.org", None, "", cookie).status == 401


@pytest.mark.parametrize("host", ["evil.com", "evil.com:8265", "", "10.0.0.1", "[", "0.0.0.0"])
def test_a_foreign_host_is_refused_even_with_the_key(host: str) -> None:
    assert gate().judge(host, None, KEY, "").status == 403


@pytest.mark.parametrize(
    "host", ["localhost:8265", "127.0.0.1", "127.0.0.53:1", "[::1]:8265", "LOCALHOST"]
)
def test_names_of_this_machine(host: str) -> None:
    assert gate().judge(host, None, KEY, "").status == 200


def test_names_that_the_user_gives() -> None:
    access = gate(hosts=["Lab.example.org ", ""])
    assert access.judge("lab.example.org:443", None, KEY, "").status == 200
    assert access.judge("other.example.org", None, KEY, "").status == 403
    # behind a proxy that puts the near end's name into Host and leaves Origin alone
    assert access.judge(HERE, "https://lab.example.org", KEY, "").status == 200
    assert access.judge(HERE, "https://other.example.org", KEY, "").status == 403
    assert access.judge(HERE, "https://[", KEY, "").status == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.com", "null", "http://127.0.0.1:8888", "http://localhost:8265", "x"]
)
def test_a_foreign_origin_is_refused(origin: str) -> None:
    access = gate()
    cookie = access.mark(HERE)
    assert access.judge(HERE, origin, KEY, cookie).status == 403


def test_its_own_origin_is_welcome_also_behind_tls() -> None:
    access = gate(hub=True)
    assert access.judge(HERE, f"http://{HERE}", KEY, "").status == 200
    for host in ("hub.example.org", "hub.example.org:443"):
        assert access.judge(host, "https://hub.example.org", KEY, "").status == 200


def test_on_a_hub_a_name_needs_the_key_or_its_cookie() -> None:
    access = gate(hub=True)
    assert access.judge("hub.example.org", None, "", "").status == 401
    assert access.judge("hub.example.org", "https://evil.com", KEY, "").status == 403


def test_behind_a_private_socket_no_key_is_needed_but_the_origin_still_counts() -> None:
    access = Access("")
    assert access.judge("hub.example.org", "https://hub.example.org", "", "").status == 200
    assert access.judge("hub.example.org", "https://evil.com", "", "").status == 403


def test_host_names() -> None:
    assert host_name("A.b:80") == "a.b"
    assert host_name("[::1]:80") == "::1"
    assert host_name("a.b.") == "a.b"
    assert host_name("[") == ""


def test_a_ticket_opens_for_some_minutes() -> None:
    now = [1_000_000.0]
    access = gate(clock=lambda: now[0])
    made = ticket(KEY, now[0])
    assert KEY not in made
    assert access.judge(HERE, None, made, "").status == 200
    now[0] += TICKET_SECONDS - 1
    assert access.judge(HERE, None, made, "").cookie
    now[0] += 2
    assert access.judge(HERE, None, made, "").status == 401
    assert "10 minutes only: %nbray dashboard" in access.judge(HERE, None, made, "").why


@pytest.mark.parametrize(
    "forged",
    [
        lambda made: "9" + made,
        lambda made: made[:-1] + ("0" if made[-1] != "0" else "1"),
        lambda made: made.partition(".")[0] + ".",
        lambda made: "." + made.partition(".")[2],
        lambda made: ticket("another key", 1e9),
    ],
)
def test_a_forged_ticket_opens_nothing(forged: Callable[[str], str]) -> None:
    access = gate(clock=lambda: 1e9)
    assert access.judge(HERE, None, forged(ticket(KEY, 1e9)), "").status == 401


def test_what_a_page_asks_for_needs_its_pass_or_the_key() -> None:
    access = gate()
    cookie = access.mark(HERE)
    assert access.judge(HERE, None, "", cookie, "").status == 401
    assert access.judge(HERE, None, "", cookie, cookie).status == 401
    assert access.judge(HERE, None, "", "", access.passing(HERE)).status == 200
    assert access.judge("evil.localhost", None, "", "", access.passing(HERE)).status == 401
    assert access.judge(HERE, None, KEY, "", "").status == 200
    assert Access("").passing(HERE) == ""


@pytest.mark.parametrize("key", ["\u00b2.x", "9" * 5000 + ".x", ".", "\u0662.x", "-1.x"])
def test_nonsense_is_refused_as_any_other_key(key: str) -> None:
    assert Access(KEY).judge(HERE, None, key, "").status == 401
