"""What a container could do to its host: the settings of a create body that reach beyond the container.

It looks at the final body, as it goes to the engine, not at the form that it came from, so that no other way of saying
the same slips through. What it does not know counts as power: an engine may come to honour it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from django.utils.translation import gettext as _

Json = Mapping[str, Any]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


DEFAULT_CAPABILITIES: Final = _names(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT"
)
"""What every container has unless it is taken away: asking for it is asking for nothing."""

SAFE_SYSCTLS: Final = _names(
    "kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies net.ipv4.ping_group_range "
    "net.ipv4.ip_unprivileged_port_start net.ipv4.ip_local_reserved_ports net.ipv4.tcp_keepalive_time "
    "net.ipv4.tcp_fin_timeout net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes net.core.somaxconn"
)
"""Kernel settings of the container's own namespaces that others do not feel."""

_HARMLESS: Final = _names(
    "binds mounts tmpfs portbindings publishallports restartpolicy autoremove extrahosts dns dnsoptions dnssearch "
    "groupadd readonlyrootfs capdrop init memory memoryreservation memoryswap memoryswappiness nanocpus cpushares "
    "cpuperiod cpuquota cpusetcpus cpusetmems pidslimit shmsize ulimits logconfig consolesize isolation storageopt "
    "blkioweight links containeridfile cpucount cpupercent kernelmemory kernelmemorytcp runtime "
    "iomaximumiops iomaximumbandwidth"
)
_LOG_DRIVERS: Final = frozenset(("", "json-file", "local", "none", "journald"))
_RUNTIMES: Final = frozenset(("", "runc", "crun", "io.containerd.runc.v2"))
_OWN: Final = frozenset(("", "private", "default"))
_MODES: Final = {
    "networkmode": "NetworkMode",
    "pidmode": "PidMode",
    "ipcmode": "IpcMode",
    "utsmode": "UTSMode",
    "usernsmode": "UsernsMode",
    "cgroupnsmode": "CgroupnsMode",
}
_HIDDEN: Final = {
    "maskedpaths": frozenset(("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")),
    "readonlypaths": frozenset(("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")),
}
"""What every engine hides or protects by itself, and tells in inspect: a shorter list is a power."""
_LOOKED_AT: Final = _names(
    "privileged capadd securityopt devices sysctls oomscoreadj oomkilldisable volumedriver volumesfrom"
).union(_MODES, _HIDDEN)
_ELSEWHERE: Final = frozenset(("bind", "rbind", "move", "remount"))
"""Mount options by which something else is mounted than the kind says."""
_NO_NEW_PRIVILEGES: Final = ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true")


_WITH_PARENT: Final = frozenset(("macvlan", "ipvlan"))
_NETWORK_DRIVERS: Final = frozenset(("", "bridge", "overlay")) | _WITH_PARENT
_HARMLESS_OPTIONS: Final = frozenset(
    (
        "com.docker.network.bridge.enable_icc",
        "com.docker.network.bridge.enable_ip_masquerade",
        "com.docker.network.driver.mtu",
        "macvlan_mode",
        "ipvlan_mode",
    )
)
_PRIVATE: Final = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7")
)
"""Addresses that belong to nobody (RFC 1918, 6598, 2544, 4193): not loopback, nor link-local, where clouds answer."""


@dataclass(frozen=True, slots=True)
class Power:
    """One setting that reaches beyond the container: where it is in the body, and what it is in words."""

    setting: str
    words: str


def powers(body: Json, *, volumes: Mapping[str, Json], roots: frozenset[str] = frozenset()) -> list[Power]:
    """Everything in *body* that reaches beyond the container; an empty list is a container that keeps to itself.

    *volumes* are the options of the endpoint's volumes by name: some lead to the host's files. *roots* are host
    directories that everybody may bind; what is below them is not meant, for a container could put a link there.
    """
    given = _lowered(_lowered(body).get("hostconfig") or {})
    # An empty list of hidden paths hides nothing; elsewhere what is empty says nothing.
    host = {name: value for name, value in given.items() if value or (name in _HIDDEN and value is not None)}
    found = [*_mounted(host, volumes, roots), *_namespaces(host), *_rights(host), *_networks(body)]
    if sum(name.lower() == "hostconfig" for name in body) > 1:
        found.append(Power("HostConfig", _("two host configurations")))
    return found


def leads_to_host(options: Json) -> bool:
    """Whether a volume that was made with *options* could show files of the host: all but memory and shares of others.

    A list of what is harmless, since most kinds of file system can be made to: overlay by its lower directories, proc
    by its processes' roots, any with a block device.
    """
    words = {word.partition("=")[0] for word in str(options.get("o", "")).split(",")}
    if set(options) - {"type", "o", "device"} or words & _ELSEWHERE:
        return True
    kind, device = str(options.get("type", "")), str(options.get("device", ""))
    if kind in ("nfs", "nfs4"):
        return ":" not in device
    if kind in ("cifs", "smb3"):
        return not device.startswith("//")
    return bool(options) and kind != "tmpfs"


def network_powers(driver: str, options: Json, subnets: Iterable[str], *, routed: Mapping[str, str]) -> list[Power]:
    """What a network of *driver* with *options* and *subnets* could do to the host and its surroundings.

    Whoever is in it could answer in the place of addresses that the host and others use: in the host's LAN, on a bridge
    that is there already, or in a subnet that belongs to somebody else. The options are a list of what is harmless.
    *routed* are the subnets that the host reaches otherwise, with the links that lead there.
    """
    found = []
    if driver in _WITH_PARENT and options.get("parent"):
        found.append(Power("parent", _("a place in the host's own network (%(name)s)") % {"name": options["parent"]}))
    elif driver not in _NETWORK_DRIVERS:
        found.append(Power("driver", _("a network of the kind %(name)s") % {"name": driver[:60]}))
    found.extend(
        Power("options", _("the network's option %(name)s") % {"name": name[:60]})
        for name in sorted(set(options) - _HARMLESS_OPTIONS - {"parent"})
    )
    found.extend(
        Power("subnet", _("addresses of others (%(subnet)s)") % {"subnet": text[:60]})
        for text in subnets
        if not _is_private(text)
    )
    found.extend(
        Power(
            "subnet", _("addresses that the host reaches by %(link)s (%(subnet)s)") % {"link": link, "subnet": subnet}
        )
        for subnet, link in hidden(driver, subnets, routed).items()
    )
    return found


def hidden(driver: str, subnets: Iterable[str], routed: Mapping[str, str]) -> dict[str, str]:
    """Those of *routed* that the host would find in a network of *driver* with *subnets* instead.

    Only bridges get a route of the host's: macvlan and ipvlan are meant to have addresses of their parent's network.
    """
    if driver in _WITH_PARENT:
        return {}
    wanted = [subnet for subnet in map(_subnet, subnets) if subnet is not None]
    return {
        text: link
        for text, link in routed.items()
        if (there := _subnet(text)) is not None
        and any(there.version == subnet.version and there.overlaps(subnet) for subnet in wanted)
    }


def _is_private(text: str) -> bool:
    subnet = _subnet(text)
    return subnet is not None and any(
        subnet.version == own.version and subnet.subnet_of(own)  # type: ignore[arg-type]
        for own in _PRIVATE
    )


def _subnet(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _rights(host: Json) -> Iterator[Power]:
    if host.get("privileged"):
        yield Power("Privileged", _("privileged mode"))
    for name in host.get("capadd") or ():
        if str(name).upper().removeprefix("CAP_") not in DEFAULT_CAPABILITIES:
            yield Power("CapAdd", _("the capability %(name)s") % {"name": name})
    for option in host.get("securityopt") or ():
        if option not in _NO_NEW_PRIVILEGES:
            yield Power("SecurityOpt", _("the security option %(name)s") % {"name": str(option)[:60]})
    for device in host.get("devices") or ():
        yield Power("Devices", _("the device %(name)s") % {"name": device.get("PathOnHost", "")})
    for name in host.get("sysctls") or ():
        if name not in SAFE_SYSCTLS:
            yield Power("Sysctls", _("the kernel setting %(name)s") % {"name": name})
    if host.get("oomscoreadj", 0) < 0 or host.get("oomkilldisable"):
        yield Power("OomScoreAdj", _("being spared when memory runs out"))
    if host.get("runtime", "") not in _RUNTIMES:
        yield Power("Runtime", _("another runtime"))
    if _lowered(host.get("logconfig") or {}).get("type", "") not in _LOG_DRIVERS:
        yield Power("LogConfig", _("a log driver that sends elsewhere"))
    for name, least in _HIDDEN.items():
        if name in host and not least <= set(host[name]):
            yield Power(name, _("paths of the kernel that are hidden or read-only elsewhere"))
    for name in sorted(set(host) - _HARMLESS - _LOOKED_AT):
        yield Power(name, _("the setting %(name)s") % {"name": name[:60]})


def _namespaces(host: Json) -> Iterator[Power]:
    for key, setting in _MODES.items():
        mode = str(host.get(key) or "")
        if mode in _OWN:
            continue
        if mode == "host" and key == "cgroupnsmode":
            continue  # what Docker does by default on hosts with the first version of control groups
        if mode == "host":
            yield Power(setting, _("the host's own namespace (%(name)s)") % {"name": setting})
        elif mode.startswith(("container:", "ns:")):
            # Whatever that container may do, this one could.
            yield Power(setting, _("another container's namespace (%(name)s)") % {"name": setting})


def _networks(body: Json) -> Iterator[Power]:
    """The host's own network beside another one, or under its id, as inspect tells it."""
    given = _lowered(body)
    for part, key in (("networkingconfig", "endpointsconfig"), ("networksettings", "networks")):
        if "host" in (_lowered(given.get(part) or {}).get(key) or {}):
            yield Power("NetworkMode", _("the host's own namespace (%(name)s)") % {"name": "NetworkMode"})


def _mounted(host: Json, volumes: Mapping[str, Json], roots: frozenset[str]) -> Iterator[Power]:
    if host.get("volumedriver", "") not in ("", "local"):
        yield Power("VolumeDriver", _("another volume driver"))
    if host.get("volumesfrom"):
        yield Power("VolumesFrom", _("another container's mounts"))
    for bind in host.get("binds") or ():
        source, separator, rest = str(bind).partition(":")
        if separator:
            yield from _source("Binds", source, rest, volumes, roots)
    for raw in host.get("mounts") or ():
        mount = _lowered(raw)
        kind, source = mount.get("type"), str(mount.get("source") or "")
        if kind not in ("bind", "volume", "tmpfs"):
            yield Power("Mounts", _("a mount of the kind %(name)s") % {"name": str(kind)[:40]})
            continue
        propagation = str(_lowered(mount.get("bindoptions") or {}).get("propagation") or "")
        if kind == "bind":
            yield from _source("Mounts", source if source.startswith("/") else "/" + source, propagation, {}, roots)
        elif mount.get("volumeoptions"):
            driver = _lowered(_lowered(mount["volumeoptions"]).get("driverconfig") or {})
            if driver.get("options") or driver.get("name", "") not in ("", "local"):
                yield Power("Mounts", _("a volume with options of its driver"))
        if kind == "volume":
            yield from _source("Mounts", source, "", volumes, roots)


def _source(
    setting: str, source: str, rest: str, volumes: Mapping[str, Json], roots: frozenset[str]
) -> Iterator[Power]:
    if not source.startswith("/"):
        if leads_to_host(volumes.get(source) or {}):
            yield Power(setting, _("the volume %(name)s, which leads to files of the host") % {"name": source})
    elif source != posixpath.normpath(source) or source not in roots:
        yield Power(setting, _("the host's path %(name)s") % {"name": source[:200]})
    elif "shared" in rest or "slave" in rest:
        yield Power(setting, _("mounts that spread between host and container"))


def _lowered(values: Json) -> dict[str, Any]:
    # Go's JSON decoder does not mind the case of a field's name.
    return {name.lower(): value for name, value in values.items()}
