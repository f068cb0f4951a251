"""The AppArmor profile of containers: a second lock behind capabilities, seccomp and masked paths.

What it forbids is what Docker's forbids (docs.docker.com, "AppArmor security profiles for Docker"): to mount, to write
to the kernel's settings in /proc and /sys, to trace or signal what is outside, also for root in the container.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Final

from engine.containers.options import HostConfig
from engine.errors import InvalidParameter
from engine.kernel import apparmor

_LOG: Final = logging.getLogger(__name__)
DEFAULT: Final = "havre-default"
UNCONFINED: Final = "unconfined"
_NAMES_OF_DEFAULT: Final = ("", "docker-default", DEFAULT)
_ABI: Final = Path("/etc/apparmor.d/abi/3.0")

_PROFILE: Final = """\
{abi}
include <tunables/global>

profile {name} flags=(attach_disconnected,mediate_deleted) {{
  include <abstractions/base>

  network,
  capability,
  file,
  umount,

  # The engine, its monitors and the runtime end what runs here, also where the host confines those by profiles.
  signal (receive) peer=unconfined,
  signal (receive) peer=crun,
  signal (receive) peer=runc,
  signal (send, receive) peer={name},
  ptrace (trace, read, tracedby, readby) peer={name},

  deny mount,

  # Of /proc, the processes' own directories and sys/kernel/shm* alone may be written to. There is no "all but": each
  # pattern names what leaves the allowed path at some letter.
  deny @{{PROC}}/* w,
  deny @{{PROC}}/{{[^1-9s]*,s,s[^y]*,sy,sy[^s]*,sys?*}}/** w,
  deny @{{PROC}}/sys/[^k]** w,
  deny @{{PROC}}/sys/kernel/{{[^s]**,s,s[^h]**,sh,sh[^m]**}} w,
  deny @{{PROC}}/sysrq-trigger rwklx,
  deny @{{PROC}}/kcore rwklx,

  # Of /sys: control groups alone.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


def profile() -> str:
    """The text of the default profile."""
    # The features of that version: a newer one would ask for rules that older parsers do not know.
    return _PROFILE.format(name=DEFAULT, abi="abi <abi/3.0>," if _ABI.exists() else "")


@lru_cache(maxsize=1)
def load_default() -> str:
    """Load the default profile, once, where the kernel has AppArmor. What comes back is why that failed, or empty.

    Containers run without it then, as under dockerd: capabilities and seccomp hold them all the same.
    """
    if not apparmor.enabled():
        return ""
    try:
        apparmor.load(profile())
    except OSError as error:
        _LOG.warning("containers run without an AppArmor profile: %s", error)
        return str(error)
    return ""


def available() -> bool:
    """Whether containers are confined by AppArmor here."""
    return apparmor.enabled() and not load_default()


def check(wanted: str) -> None:
    """`InvalidParameter` where a container cannot have the profile *wanted*, as in `HostConfig.apparmor`."""
    if wanted in (*_NAMES_OF_DEFAULT, UNCONFINED):
        return
    if not apparmor.enabled():
        raise InvalidParameter(f"apparmor={wanted[:60]}: this host's kernel does not use AppArmor")
    try:
        known = apparmor.loaded()
    except OSError as error:
        raise InvalidParameter(f"apparmor={wanted[:60]}: the kernel does not tell its profiles: {error}") from error
    if wanted not in known:
        raise InvalidParameter(
            f"apparmor={wanted[:60]}: no such profile is loaded on this host: load it with apparmor_parser -r FILE"
        )


def profile_of(host: HostConfig) -> str:
    """The profile that a container runs under, or `unconfined`; empty where the host has no AppArmor."""
    if not available():
        return ""
    if host.apparmor in _NAMES_OF_DEFAULT:
        return UNCONFINED if host.privileged and not host.apparmor else DEFAULT
    return host.apparmor
