"""Sets of a newer nft than this host's libnftables, which ends the process that it is loaded in."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess

import pytest
from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES

from engine.errors import EngineFault
from engine.networks.model import PublishedPort
from engine.networks.netlink import attribute, message, talk
from tests.fixtures.netlab import Lab

BEGIN, END = 16, 17
NEW_TABLE, DELETE_TABLE, NEW_SET = (NFNL_SUBSYS_NFTABLES << 8 | each for each in (0, 2, 9))
IFNAME = struct.pack("!I", 41)
OF_A_VALUE = bytes.fromhex("000401000000 0308 000404000000 0100")
"""User data of nft 1.0.9 for `type ifname`: the key is of a value, which nft 1.0.6 cannot read."""


def newer(table: str, userdata: bytes = OF_A_VALUE) -> None:
    """Make a table with a set as a newer nft would."""
    flags = NLM_F_ACK | NLM_F_CREATE
    name = attribute(1, f"{table}\0".encode())
    words = (attribute(2, b"names\0"), attribute(4, IFNAME), attribute(5, struct.pack("!I", 16)))
    made = name + b"".join(words) + attribute(10, struct.pack("!I", 1)) + attribute(13, userdata)
    talk(
        message(BEGIN, family=0, resource=NFNL_SUBSYS_NFTABLES),
        message(NEW_TABLE, name, family=socket.AF_INET, flags=flags),
        message(NEW_SET, made, family=socket.AF_INET, flags=flags),
        message(END, family=0, resource=NFNL_SUBSYS_NFTABLES),
    )


def nft_ends() -> bool:
    """Whether this host's nft cannot bear it."""
    return subprocess.run(["nft", "list", "sets"], capture_output=True).returncode == -signal.SIGSEGV


def test_they_stop_changes_and_not_the_engine(host: Lab) -> None:
    networks = host.service()
    sandbox = networks.plug(PublishedPort(container_port=80, host_port=18080))
    newer("others")
    if not nft_ends():
        networks.made("fine")
        return
    for _ in range(2):
        with pytest.raises(EngineFault, match="cannot read the nftables sets of table others, which a newer nft"):
            networks.made("refused")
    assert "refused" not in {network.name for network in networks.list()}
    with pytest.raises(EngineFault, match="cannot read the nftables sets"):
        host.service("hvlab1")
    talk(
        message(BEGIN, family=0, resource=NFNL_SUBSYS_NFTABLES),
        message(DELETE_TABLE, attribute(1, b"others\0"), family=socket.AF_INET, flags=NLM_F_ACK),
        message(END, family=0, resource=NFNL_SUBSYS_NFTABLES),
    )
    networks.made("allowed")
    networks.release(sandbox.container_id)


def test_what_can_be_read_is_read_once(host: Lab) -> None:
    networks = host.service()
    subprocess.run(["nft", "-f", "-"], input=TYPED, text=True, check=True)
    before = networks._firewall._nft._foreign._read
    networks.made("one")
    found = networks._firewall._nft._foreign._read
    assert before == frozenset()
    assert {(table, name) for table, name, _ in found} == {("typed", "ports")}
    networks.made("two")
    assert networks._firewall._nft._foreign._read is found


TYPED = """
table inet typed {
    set ports { typeof tcp dport; }
    set plain { type ifname; }
}
"""
