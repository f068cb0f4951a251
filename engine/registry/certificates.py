"""Certificates for single registries, in Docker's places: `<directory>/<host[:port]>/*.crt`, `*.cert`, `*.key`.

`*.crt` are authorities that are trusted for that registry, beside those of the host. `x.cert` with `x.key` is what this
host shows to it. The authorities hold for the registry's token server too, which is often of the same house; the
client's certificate is shown to the registry alone.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from urllib3.util.ssl_ import create_urllib3_context

from engine.errors import InvalidParameter

_HTTPS: Final = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """What a directory has for one registry."""

    authorities: tuple[Path, ...] = ()
    pairs: tuple[tuple[Path, Path], ...] = ()
    """Certificate and key."""

    @classmethod
    def of(cls, directory: Path, netloc: str) -> Certificates:
        """Those for the registry *netloc* (`host[:port]`); `InvalidParameter` for a certificate without its key."""
        place = directory / netloc.lower()
        try:
            files = sorted(place.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except OSError as error:
            raise InvalidParameter(f"cannot read the certificates in {place}: {error.strerror}") from error
        pairs = [(file, file.with_suffix(".key")) for file in files if file.suffix == ".cert"]
        for certificate, key in pairs:
            if not key.is_file():
                raise InvalidParameter(f"missing key {key.name} for client certificate {certificate}")
        return cls(authorities=tuple(file for file in files if file.suffix == ".crt"), pairs=tuple(pairs))


class Trust:
    """Whom one client trusts, and what it shows to whom. *origins* are the registry's `host[:port]`."""

    def __init__(self, directory: Path | None, origins: Sequence[str]) -> None:
        self._own = {_address(each): Certificates.of(directory, each) for each in origins} if directory else {}
        self._authorities = [path for each in self._own.values() for path in each.authorities]
        for host, port in self._own:
            self.context(host, port, verified=True)  # a file that cannot be used is told before anything is asked

    def context(self, host: str, port: int, *, verified: bool) -> ssl.SSLContext | None:
        """How to speak TLS with *host*; `None` where nothing but the host's own authorities counts."""
        pairs = self._own.get((host.lower(), port), Certificates()).pairs
        authorities = self._authorities if verified else []
        if not pairs and not authorities and verified:
            return None
        # Without a context of our own the host's certificates are loaded, 27 ms for nothing where none is verified.
        context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verified else ssl.CERT_NONE)
        try:
            for path in authorities:
                context.load_verify_locations(path)
            for certificate, key in pairs:
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidParameter(f"a certificate for registry {host}:{port} cannot be used: {error}") from error
        return context


def _address(netloc: str) -> tuple[str, int]:
    parts = urlsplit(f"//{netloc}")
    return (parts.hostname or "").lower(), parts.port or _HTTPS
