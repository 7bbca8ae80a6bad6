"""Which address a request comes from: the socket's, or what a trusted proxy says of it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network


def parse_networks(text: str) -> list[Network]:
    """Addresses and networks (CIDR), separated by spaces or commas. Raises `ValueError`."""
    return [ip_network(part, strict=False) for part in text.replace(",", " ").split()]


def client_address(peer: str, forwarded: Iterable[str], trusted: list[Network]) -> str:
    """The client's address: the last one in the `X-Forwarded-For` chain that is no trusted proxy.

    `peer` is the socket's address, `forwarded` the header's values in their order. What a client
    wrote there itself stands further left and is not believed.
    """
    address = _normal(peer)
    if address is None or not _within(address, trusted):
        return address or "unknown"
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    for hop in reversed(hops):
        found = _normal(hop)
        if found is None:
            return address
        address = found
        if not _within(address, trusted):
            return address
    return address


def is_trusted(address: str, trusted: list[Network]) -> bool:
    """Whether the address is a trusted proxy's."""
    found = _normal(address)
    return found is not None and _within(found, trusted)


def neighbourhood(address: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 /64, which one household has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ip_network((parsed, 64), strict=False))


def is_local(address: str) -> bool:
    """Whether the address is a loopback one: this machine, or a proxy that names no client."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def is_origin(text: str) -> bool:
    """An origin as browsers send it (RFC 6454 §6.2)."""
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return bool(url.scheme and url.netloc) and text == f"{url.scheme}://{url.netloc}".lower()


def _normal(text: str) -> str | None:
    try:
        address = ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _within(address: str, networks: list[Network]) -> bool:
    parsed = ip_address(address)
    return any(parsed in network for network in networks if network.version == parsed.version)
