"""Sets of others that this host's libnftables cannot read.

Before each change libnftables reads the sets of every table on the host. One older than the nft that made a set (1.0.6,
and a container's or kube-proxy's 1.0.8) calls a function that it does not have for the set's type, and the process that
it is loaded in ends. So whatever is new among the sets of others is read by a process of its own first.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from pyroute2.netlink import NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES

from engine.errors import EngineFault
from engine.networks.netlink import attributes, connected, message, split

_GET_SETS: Final = (NFNL_SUBSYS_NFTABLES << 8) | 10
"""NFT_MSG_GETSET (linux/netfilter/nf_tables.h)."""
_TABLE, _NAME, _USERDATA = 1, 2, 13
_TYPES_OF: Final = frozenset({3, 4})
"""In a set's user data, what it says of the expressions that its keys and data are of (libnftnl's udata.h)."""
_PATIENCE: Final = 10
_READER: Final = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.nft_ctx_new.restype = ctypes.c_void_p
context = ctypes.c_void_p(library.nft_ctx_new(0))
library.nft_ctx_output_set_flags(context, 1 << 11)  # NFT_CTX_OUTPUT_TERSE: without the elements
library.nft_ctx_buffer_output(context)
library.nft_ctx_buffer_error(context)
library.nft_run_cmd_from_buffer(context, b"list sets")
"""

Set = tuple[str, str, bytes]
"""Table, name and user data."""


class ForeignSets:
    """The sets of the network namespace of the thread that makes it, but for those of the table *own*."""

    def __init__(self, *, own: str, library: str) -> None:
        self._own = own
        self._library = library
        self._read: frozenset[Set] = frozenset()
        self._kernel = connected()

    def close(self) -> None:
        self._kernel.close()

    def require_readable(self) -> None:
        """`EngineFault` where libnftables would end this process. One thread at a time."""
        there = frozenset(each for each in self._sets() if each[0] != self._own and _has_types(each[2]))
        if there <= self._read:
            return
        if not self._bears_them():
            tables = ", ".join(sorted({table for table, _, _ in there - self._read}))
            raise EngineFault(
                f"{self._library} of this host cannot read the nftables sets of table {tables}, which a newer nft has "
                "made (in a container, or another system's): until they are gone, or the host's nftables is newer, no "
                "network and no published port can be changed; what runs goes on"
            )
        self._read = there

    def _bears_them(self) -> bool:
        """Whether a process that reads them with libnftables comes to its own end."""
        command = [sys.executable, "-I", "-S", "-c", _READER, self._library]
        try:
            return subprocess.run(command, check=False, timeout=_PATIENCE, capture_output=True).returncode >= 0
        except subprocess.TimeoutExpired as error:
            raise EngineFault(f"{self._library} has not read the nftables sets of others in {_PATIENCE} s") from error

    def _sets(self) -> Iterator[Set]:
        self._kernel.send(message(_GET_SETS, family=socket.AF_UNSPEC, flags=NLM_F_DUMP))
        while True:
            for kind, payload in split(self._kernel.recv(1 << 17)):
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    return
                found = attributes(payload)
                yield _text(found.get(_TABLE, b"")), _text(found.get(_NAME, b"")), found.get(_USERDATA, b"")


def _has_types(userdata: bytes) -> bool:
    """Whether one of the records (type, length, value) tells of expressions."""
    while len(userdata) >= 2:
        if userdata[0] in _TYPES_OF:
            return True
        userdata = userdata[2 + userdata[1] :]
    return False


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
