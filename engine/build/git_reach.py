"""How git is kept to public addresses.

git connects by itself, so it is told the addresses that were judged. Nothing may lead it elsewhere: redirects are
errors, and with them the alternates of a repository that is no more than files (git-config(1), http.followRedirects);
there are no bundles of other servers, no protocols but HTTP.
"""

from __future__ import annotations

import re
from typing import Final

from requests.utils import get_environ_proxies, select_proxy

from engine.errors import Forbidden, InvalidParameter, Unavailable
from engine.registry.hosts import is_address
from engine.registry.reach import PublicReach

_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?:[A-Za-z0-9._~%+:-]*@)?"
    r"(?P<host>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/[^\\\s]*"
)
"""An address that everybody who parses it understands alike."""
_NUMBER: Final = re.compile(r"(?:0[Xx][0-9A-Fa-f]*|[0-9]+)")
_SETTINGS: Final = (
    *("protocol.git.allow=never", "protocol.ssh.allow=never"),
    *("http.followRedirects=false", "transfer.bundleURI=false"),
)


def pinned(address: str, reach: PublicReach) -> tuple[str, ...]:
    """The settings by which git fetches *address* and connects nowhere but where *reach* lets it.

    `Forbidden` for what it does not let through, `InvalidParameter` for an address that is not plainly one.
    """
    if not address.startswith(("http://", "https://")):
        raise Forbidden(f"{address[:200]}: only an administrator's build may fetch by another way than http or https")
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < (port := _port(match)) < 1 << 16:
        raise InvalidParameter(f"{address[:200]!r} is no plain address: give https://host/path.git")
    host = match["host"].lower()
    proxy = select_proxy(address, get_environ_proxies(address)) or ""
    told = (*_SETTINGS, f"http.proxy={proxy}")
    try:
        found = reach.addresses(host, port)
    except OSError as error:
        if proxy:
            return told  # which alone knows the name
        raise Unavailable(f"git: {host} cannot be looked up: {error.strerror}") from error
    if is_address(host):
        return told
    # curl, too, takes other numbers than these for addresses, and would not look at what is pinned.
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise InvalidParameter(f"{address[:200]!r}: {host} is neither a name nor an address as one writes it")
    return (*told, f"http.curloptResolve={host}:{port}:{','.join(map(_told, found))}")


def _port(match: re.Match[str]) -> int:
    return int(match["port"] or (443 if match["scheme"] == "https" else 80))


def _told(address: str) -> str:
    """IPv6 in brackets: colons part the fields."""
    return f"[{address}]" if ":" in address else address
