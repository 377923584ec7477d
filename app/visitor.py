"""Who is calling: the address, as much of it as the setting keeps, and the User-Agent."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network

from werkzeug.wrappers import Request

MAX_USER_AGENT = 512


def read_address(request: Request, *, trusted_proxies: int) -> str | None:
    """Give the client's address, believing as many X-Forwarded-For hops as there are proxies."""
    if trusted_proxies:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
        hops = [hop for hop in hops if hop]
        if hops:
            return hops[-min(trusted_proxies, len(hops))]
    return request.remote_addr


# A client sends many requests from one address.
@lru_cache(maxsize=4096)
def anonymise_address(address: str | None, *, mode: str, salt: bytes = b"") -> str | None:
    """Keep as much of an address as the mode says: nothing, its network (/24, /48), or all.

    With the mode `hashed`, keep 16 hexadecimal digits of its hash with the salt.
    """
    if mode == "off" or not address:
        return None
    try:
        parsed = ip_address(address)
    except (ValueError, AddressValueError):
        return None
    if isinstance(parsed, IPv6Address):
        # Without the scope, which names an interface and may be any text.
        parsed = parsed.ipv4_mapped or IPv6Address(int(parsed))
    match mode:
        case "full":
            return str(parsed)
        case "hashed":
            if not salt:
                raise ValueError("a hash without a salt can be reversed by trying all addresses")
            return blake2b(parsed.packed, key=salt, digest_size=8).hexdigest()
    bits = 24 if isinstance(parsed, IPv4Address) else 48
    return str(ip_network((parsed, bits), strict=False).network_address)


def wants_privacy(request: Request) -> bool:
    """Tell whether the browser says Do Not Track or Global Privacy Control."""
    return "1" in (request.headers.get("DNT"), request.headers.get("Sec-GPC"))


def read_user_agent(request: Request) -> str | None:
    """Give the User-Agent, cut to a bound, without what the database cannot hold."""
    agent = request.headers.get("User-Agent", "")[:MAX_USER_AGENT].replace("\0", "")
    return agent or None
