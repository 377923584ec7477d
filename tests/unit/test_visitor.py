"""Who is calling: as much of the address as the setting keeps."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from app.visitor import MAX_USER_AGENT, anonymise_address, read_address, read_user_agent


def request_with(**headers: str) -> Request:
    environ = EnvironBuilder(
        headers=[(name.replace("_", "-"), value) for name, value in headers.items()],
        environ_base={"REMOTE_ADDR": "203.0.113.7"},
    ).get_environ()
    return Request(environ)


@given(st.ip_addresses(v=4))
def test_a_truncated_ipv4_address_keeps_its_first_three_parts(address: IPv4Address) -> None:
    kept = anonymise_address(str(address), mode="truncated")

    assert kept == str(address).rpartition(".")[0] + ".0"


@given(st.integers(2**48, 2**128 - 1).map(IPv6Address))
def test_a_truncated_ipv6_address_keeps_48_bits(address: IPv6Address) -> None:
    kept = anonymise_address(str(address), mode="truncated")

    assert kept is not None
    assert int(ip_address(kept)) == int(address) >> 80 << 80


@given(st.one_of(st.ip_addresses().map(str), st.text()))
def test_switched_off_nothing_is_kept(address: str) -> None:
    assert anonymise_address(address, mode="off") is None


@given(st.text(), st.sampled_from(["truncated", "full"]))
def test_any_text_is_an_address_or_nothing(text: str, mode: str) -> None:
    kept = anonymise_address(text, mode=mode)

    assert kept is None or ip_address(kept)


@pytest.mark.parametrize(
    ("address", "mode", "kept"),
    [
        ("::ffff:198.51.100.9", "truncated", "198.51.100.0"),
        ("::ffff:198.51.100.9", "full", "198.51.100.9"),
        ("fe80::1%eth0", "truncated", "fe80::"),
        ("fe80::1%" + "x" * 5000, "full", "fe80::1"),
        ("198.51.100.9:8080", "full", None),
        ("", "full", None),
        (None, "full", None),
    ],
)
def test_odd_addresses(address: str | None, mode: str, kept: str | None) -> None:
    assert anonymise_address(address, mode=mode) == kept


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, "1.1.1.1", "203.0.113.7"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
        (5, "6.6.6.6, 1.1.1.1", "6.6.6.6"),
        (1, " , ", "203.0.113.7"),
    ],
)
def test_only_the_hops_of_our_own_proxies_are_believed(
    proxies: int, forwarded: str, found: str
) -> None:
    request = request_with(X_Forwarded_For=forwarded)

    assert read_address(request, trusted_proxies=proxies) == found


def test_a_long_user_agent_is_cut_and_none_is_none() -> None:
    assert read_user_agent(request_with(User_Agent="x" * 9999)) == "x" * MAX_USER_AGENT
    assert read_user_agent(request_with()) is None


def test_a_hash_is_the_same_for_one_address_and_salt_and_for_no_other() -> None:
    def hashed(address: str, salt: bytes = b"today") -> str | None:
        return anonymise_address(address, mode="hashed", salt=salt)

    first = hashed("203.0.113.9")
    assert first is not None
    assert len(first) == 16
    assert hashed("::ffff:203.0.113.9") == first
    assert hashed("fe80::1%eth0") == hashed("fe80::1%wlan0") == hashed("fe80:0::1")
    assert len({first, hashed("203.0.113.8"), hashed("203.0.113.9", b"tomorrow")}) == 3
    assert hashed("not an address") is None


def test_an_address_is_not_hashed_without_a_salt() -> None:
    with pytest.raises(ValueError, match="salt"):
        anonymise_address("203.0.113.9", mode="hashed")
