"""/etc/hosts and /etc/resolv.conf of a container (hosts(5), resolv.conf(5))."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from engine.errors import EngineFault, InvalidParameter
from engine.networks.model import Address, ResolverConfig

_LOCAL: Final = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)
EMBEDDED: Final = "127.0.0.11"
"""Where a container asks the engine, as in Docker."""
_LARGEST: Final = 1024 * 1024
"""Bytes of a hosts file: that of 10,000 linked containers has half of it."""
_FALL_BACK: Final = ("8.8.8.8", "8.8.4.4")
"""Docker's: for a host whose own servers are all where a container cannot reach them, as on its loopback."""


def hosts(
    *,
    hostname: str,
    domainname: str = "",
    addresses: Iterable[Address] = (),
    gateway: Address | None,
    extra: Iterable[str] = (),
    linked: Iterable[str] = (),
    share_host: bool = False,
    host_file: Path = Path("/etc/hosts"),
) -> str:
    """The container's hosts file. *extra* are `name:address` lines; `host-gateway` stands for the host itself;
    *linked* are whole lines.

    With *share_host* it is the host's own file and the extra lines.
    """
    lines = [_read(host_file).rstrip("\n")] if share_host else list(_LOCAL)
    for entry in extra:
        name, _, target = entry.partition(":")
        if target == "host-gateway":
            target = str(gateway or "127.0.0.1")
        if len(name.split()) != 1 or name != name.strip():
            raise InvalidParameter(f'bad format for add-host: "{entry[:200]}": give NAME:ADDRESS')
        lines.append(f"{_address(entry, target)}\t{name}")
    lines += linked
    lines += [f"{address}\t{own_names(hostname, domainname)}" for address in addresses]
    return "\n".join(lines) + "\n"


def own_names(hostname: str, domainname: str = "") -> str:
    """What a container calls itself, in full and for short."""
    return f"{hostname}.{domainname} {hostname}" if domainname else hostname


def change_hosts(
    path: Path, *, gone: Collection[Address] = (), unnamed: Collection[str] = (), come: Iterable[str] = ()
) -> None:
    """Take the lines of addresses that are *gone*, and those whose first name is *unnamed*, out of a running
    container's hosts file, and add those that *come*.

    In place, since it is mounted. What the container itself has written there stays, and is not trusted.
    """
    with path.open("r+b") as file:
        lines = file.read(_LARGEST).decode(errors="surrogateescape").splitlines()
        if file.read(1):
            raise EngineFault(f"{path} has grown beyond {_LARGEST} bytes: it is not changed any more")
        addresses = {str(address) for address in gone}
        kept = [
            line for line in lines if not (set(line.split()[:1]) & addresses or set(line.split()[1:2]) & set(unnamed))
        ]
        text = "\n".join([*kept, *come]) + "\n"
        file.seek(0)
        file.write(text.encode(errors="surrogateescape"))
        file.truncate()


def addresses_in(path: Path) -> set[str]:
    """What stands first in the lines of a hosts file, as far as one is read."""
    with path.open("rb") as file:
        lines = file.read(_LARGEST).decode(errors="surrogateescape").splitlines()
    return {line.split()[0] for line in lines if line.split()}


def resolv_conf(
    config: ResolverConfig,
    *,
    share_host: bool = False,
    embedded: bool = False,
    host_file: Path = Path("/etc/resolv.conf"),
) -> str:
    """The container's resolver configuration: the request's words, else the host's without those it cannot reach.

    With *embedded* the engine answers, and asks those servers itself where it has to.
    """
    text = _read(host_file)
    if share_host and not (config.servers or config.search or config.options):
        return text
    servers = [str(server) for server in config.servers]
    if not servers:
        servers = [word for word in _words(text, "nameserver") if share_host or _reachable(word)]
    if not servers:
        servers = list(_FALL_BACK)
    search = list(config.search) or _words(text, "search") or _words(text, "domain")
    if search == ["."]:
        search = []  # resolv.conf(5): that is how one asks for none
    options = list(config.options) or _words(text, "options")
    if embedded:
        servers = [EMBEDDED]
        options = _ndots(options)
    lines = [f"nameserver {server}" for server in servers]
    if search:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def change_resolv_conf(path: Path) -> None:
    """Have a running container ask the engine from now on. In place, as `change_hosts`."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.split()[:1] not in (["nameserver"], ["options"])]
    options = " ".join(_ndots(_words(text, "options")))
    with path.open("r+", encoding="utf-8") as file:
        file.write("\n".join([f"nameserver {EMBEDDED}", *lines, f"options {options}"]) + "\n")
        file.truncate()


def name_servers(path: Path) -> list[Address]:
    """The servers that a resolver configuration names; what is no address is passed over."""
    servers = []
    for word in _words(_read(path), "nameserver"):
        with suppress(ValueError):
            servers.append(ip_address(word))
    return servers


def _ndots(options: Sequence[str]) -> list[str]:
    """Names of containers have no dots, and are asked for as they are."""
    return [*options, *(() if any(option.startswith("ndots:") for option in options) else ("ndots:0",))]


def _words(text: str, key: str) -> list[str]:
    words: list[str] = []
    for line in text.splitlines():
        parts: Sequence[str] = line.split("#", 1)[0].split()
        if len(parts) > 1 and parts[0] == key:
            # Each search line replaces the one before; servers add up.
            words = [*words, parts[1]] if key == "nameserver" else list(parts[1:])
    return words


def _reachable(server: str) -> bool:
    """Whether a container can: it has no IPv6, and a loopback of its own."""
    try:
        address = ip_address(server.partition("%")[0])
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback


def _address(entry: str, text: str) -> str:
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError as error:
        raise InvalidParameter(f'bad format for add-host: "{entry[:200]}": {text[:60]!r} is no address') from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
