"""libnftables (libnftables(3)) in this process: a transaction takes about a millisecond less than a run of `nft`."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from engine.errors import EngineFault
from engine.networks.foreign import ForeignSets

_LIBRARY = "libnftables.so.1"


class Nftables:
    """One context of libnftables, in the network namespace of the thread that makes it. Threads share it in turn."""

    def __init__(self, *, table: str) -> None:
        """*table* is the name of our own: its sets are of this library."""
        try:
            self._library: Any = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise EngineFault(f"{_LIBRARY} is not on this host: install the package nftables") from error
        self._library.nft_ctx_new.restype = ctypes.c_void_p
        self._library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        self._library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        self._lock = threading.Lock()
        self._foreign = ForeignSets(own=table, library=_LIBRARY)
        self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_buffer_output(self._context)

    def run(self, commands: str) -> str:
        """Carry out *commands* as one transaction and return what they print; `EngineFault` with nft's words."""
        with self._lock:
            if self._context.value is None:
                raise EngineFault("the engine is closing: the firewall takes no more changes")
            self._foreign.require_readable()
            failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            # Reading a buffer empties it, so both are read each time.
            complaint = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
            output: str = self._library.nft_ctx_get_output_buffer(self._context).decode(errors="replace")
        if failed:
            raise EngineFault(f"nftables refused a change: {complaint.strip().splitlines()[0] if complaint else ''}")
        return output

    def close(self) -> None:
        with self._lock:
            if self._context.value is not None:
                self._library.nft_ctx_free(self._context)
                self._context = ctypes.c_void_p()
                self._foreign.close()
