"""The seccomp profile: Docker's format of it, reduced for one container to what the OCI runtime takes.

Docker's profile says of a rule when it holds: with which capabilities, on which architecture, from which kernel on
(moby, profiles/seccomp). The OCI runtime-spec (config-linux.md, "Seccomp") knows only the rules that remain.
"""

from __future__ import annotations

import errno
import json
import platform
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from engine.errors import EngineFault, InvalidParameter

PATHS: Final = (Path("/usr/share/containers/seccomp.json"), Path("/etc/containers/seccomp.json"))
"""Where the distributions keep the default profile (Debian, Ubuntu: golang-github-containers-common)."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
_SCMP: Final = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64", "arm": "SCMP_ARCH_ARM"}

_GUARDED: Final[Mapping[str, tuple[str, ...]]] = {
    "CAP_SYS_ADMIN": (
        *("fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree"),
        *("setns", "umount", "umount2", "unshare"),
    ),
    "CAP_SYS_BOOT": ("reboot",),
    "CAP_SYS_NICE": ("get_mempolicy", "mbind", "set_mempolicy"),
    "CAP_SYS_PTRACE": ("pidfd_getfd",),
    "CAP_SYSLOG": ("syslog",),
    "": ("keyctl", "pivot_root"),
}
"""System calls that Docker's default profile allows only with a capability, or never.

The distributions' profile is Podman's, which allows them so that containers may run inside containers. The kernel
would check a capability itself, but in a user namespace of its own a process has them all; keys have no namespace.
"""
_NEW_NAMESPACES: Final = 0x7E020000
"""The CLONE_NEW… flags of clone(2)."""


@lru_cache(maxsize=1)
def default_profile() -> str:
    """The text of the host's default profile; `EngineFault` says what to install when there is none."""
    for path in PATHS:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise EngineFault(
        f"no seccomp profile in {PATHS[0].parent}: install the package golang-github-containers-common "
        "(containers-common elsewhere); Havre does not run containers without one"
    )


@lru_cache(maxsize=64)
def default_filter(capabilities: tuple[str, ...]) -> Mapping[str, Any]:
    """The filter of a container with *capabilities* that asks for none of its own."""
    result = dict(reduced(default_profile(), capabilities))
    refused = {name for guard, names in _GUARDED.items() if guard not in capabilities for name in names}
    rules: list[dict[str, Any]] = [{"names": sorted(refused), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM}]
    if "CAP_SYS_ADMIN" not in capabilities:
        refused |= {"clone", "clone3"}
        flags = 1 if platform.machine().startswith("s390") else 0
        rules += [
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": flags, "value": _NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
            },
            # Its flags are in memory, where no filter sees them: the C libraries then use clone.
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
        ]
    for rule in result["syscalls"]:
        names = [name for name in rule["names"] if name not in refused]
        if names:
            rules.append({**rule, "names": names})
    # The runtime compiles the rules anew for each architecture; x32 is the one that we leave out.
    native = [name for name in result.get("architectures") or () if name != "SCMP_ARCH_X32"]
    return {**result, "syscalls": rules, **({"architectures": native} if native else {})}


@lru_cache(maxsize=64)
def reduced(profile: str, capabilities: tuple[str, ...]) -> Mapping[str, Any]:
    """*profile* (JSON text in Docker's or the OCI's format) for a container with *capabilities*."""
    try:
        document = json.loads(profile)
        if not isinstance(document, dict):
            raise InvalidParameter("the seccomp profile is no JSON object")
        return _reduce(document, frozenset(capabilities))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise InvalidParameter(f"Decoding seccomp profile failed: {error}") from error


def _reduce(document: Mapping[str, Any], capabilities: Collection[str]) -> Mapping[str, Any]:
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    result: dict[str, Any] = {"defaultAction": document["defaultAction"], "syscalls": []}
    if "defaultErrnoRet" in document:
        result["defaultErrnoRet"] = document["defaultErrnoRet"]
    architectures = list(document.get("architectures") or ())
    for entry in document.get("archMap") or ():
        if entry.get("architecture") == _SCMP.get(machine):
            architectures = [entry["architecture"], *(entry.get("subArchitectures") or ())]
    if architectures:
        result["architectures"] = architectures
    for rule in document.get("syscalls") or ():
        if not _holds(rule, machine, capabilities):
            continue
        kept = {"names": rule.get("names") or [rule["name"]], "action": rule["action"]}
        if rule.get("args"):
            kept["args"] = [{key: value for key, value in one.items() if value is not None} for one in rule["args"]]
        if rule.get("errnoRet") is not None:
            kept["errnoRet"] = rule["errnoRet"]
        result["syscalls"].append(kept)
    return result


def _holds(rule: Mapping[str, Any], machine: str, capabilities: Collection[str]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if any(name in capabilities for name in excludes.get("caps") or ()):
        return False
    if machine in (excludes.get("arches") or ()):
        return False
    if not all(name in capabilities for name in includes.get("caps") or ()):
        return False
    if includes.get("arches") and machine not in includes["arches"]:
        return False
    if excludes.get("minKernel") and _kernel() >= _version(excludes["minKernel"]):
        return False
    return not (includes.get("minKernel") and _kernel() < _version(includes["minKernel"]))


def _kernel() -> tuple[int, ...]:
    return _version(platform.release())


def _version(text: str) -> tuple[int, ...]:
    parts = text.split("-", 1)[0].split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
