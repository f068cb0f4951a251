"""The seccomp profile: Docker's format of it, reduced for one container to what the OCI runtime takes.

Docker's profile says of a rule when it holds: with which capabilities, on which architecture, from which kernel on
(moby, profiles/seccomp). The OCI runtime-spec (config-linux.md, "Seccomp") knows only the rules that remain.
"""

from __future__ import annotations

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
