"""What addresses are made of."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

from engine.networks.model import Address, Subnet


def mac_of(address: IPv4Address) -> str:
    """Docker's MAC for an address: 02:42 and its four bytes, so that both are unique together."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in address.packed)


def interface_of(address: Address, subnet: Subnet) -> IPv4Interface | IPv6Interface:
    """*address* with the length of its subnet's prefix."""
    return (IPv4Interface if address.version == 4 else IPv6Interface)((address, subnet.prefixlen))
