"""Which platforms this host runs, and which entry of an index suits one best (containerd's "platforms" rules)."""

from __future__ import annotations

import functools
import platform
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.errors import InvalidParameter
from engine.types import Platform

_MACHINES: Final = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "mips64": ("mips64le", ""),
    "loongarch64": ("loong64", ""),
}
_ALIASES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm"}

# Words that may stand alone. Of two, any architecture is taken: a registry knows better which there are.
_SYSTEMS: Final = frozenset({"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "wasip1"})
_ARCHITECTURES: Final = frozenset(
    {
        *(
            "386",
            "amd64",
            "arm",
            "armel",
            "arm64",
            "loong64",
            "mips",
            "mipsle",
            "mips64",
            "mips64le",
            "ppc64",
            "ppc64le",
        ),
        *("riscv64", "s390x", "wasm"),
    }
)

# The x86-64 psABI's micro-architecture levels, each by flags of /proc/cpuinfo that the level below lacks.
_AMD64_LEVELS: Final = (
    ("v2", {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
    ("v3", {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}),
    ("v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)


@functools.cache
def host_platform() -> Platform:
    """The platform of this host, with the best variant that its processor has."""
    machine = platform.machine().lower()
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    if architecture == "amd64":
        variant = _amd64_level(Path("/proc/cpuinfo"))
    return normalised(Platform(os="linux", architecture=architecture, variant=variant))


@functools.cache
def native_platform() -> Platform:
    """The platform that images are made for on this host where nobody says otherwise.

    It has no micro-architecture level of amd64: an image that named one would not be for lesser processors.
    """
    host = host_platform()
    return replace(host, variant="") if host.architecture == "amd64" else host


def parse_platform(text: str) -> Platform | None:
    """`linux/arm64/v8`, or only `arm64` or `linux`; `None` where there is none."""
    if not text:
        return None
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(parts):
        raise InvalidParameter(f"platform: {text[:60]!r}: expected os/architecture or os/architecture/variant")
    if len(parts) == 1:
        word = parts[0]
        if word not in _SYSTEMS and _ALIASES.get(word, word) not in _ARCHITECTURES:
            raise InvalidParameter(f"platform: {text[:60]!r}: unknown operating system or architecture")
        parts = [word, native_platform().architecture] if word in _SYSTEMS else ["linux", word]
    return Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) > 2 else "")


def normalised(wanted: Platform) -> Platform:
    """*wanted* with Docker's names: `x86_64` is `amd64`; `v8` of arm64 and `v1` of amd64 go without saying."""
    os_name, architecture, variant = wanted.os.lower(), wanted.architecture.lower(), wanted.variant.lower()
    architecture = _ALIASES.get(architecture, architecture)
    if (architecture, variant) in {("arm64", "v8"), ("arm64", "8"), ("amd64", "v1")}:
        variant = ""
    elif architecture == "arm":
        variant = "v7" if variant in {"", "7"} else variant if variant.startswith("v") else f"v{variant}"
    return Platform(os=os_name or "linux", architecture=architecture, variant=variant)


def runnable(wanted: Platform) -> tuple[Platform, ...]:
    """The platforms whose images run on *wanted*, best first: arm v7 also runs v6 and v5, amd64 also 386."""
    wanted = normalised(wanted)
    choices = [(wanted.architecture, variant) for variant in _variants(wanted.architecture, wanted.variant)]
    if wanted.architecture == "arm64":
        choices += [("arm", variant) for variant in ("v8", "v7", "v6", "v5")]
    elif wanted.architecture == "amd64":
        choices.append(("386", ""))
    return tuple(
        Platform(os=wanted.os, architecture=architecture, variant=variant) for architecture, variant in choices
    )


def suits(offered: Platform, wanted: Platform) -> bool:
    """Whether an image made for *offered* runs on *wanted*. A config often lacks its variant, which is no objection."""
    offered = normalised(offered) if offered.variant else offered
    architecture = _ALIASES.get(offered.architecture.lower(), offered.architecture.lower())
    return any(
        (offered.os or "linux", architecture) == (choice.os, choice.architecture)
        and offered.variant in ("", choice.variant)
        for choice in runnable(wanted)
    )


def _variants(architecture: str, variant: str) -> list[str]:
    number = int(variant[1:]) if variant[:1] == "v" and variant[1:].isdigit() else None
    if architecture == "amd64":
        return [f"v{level}" if level > 1 else "" for level in range(number or 1, 0, -1)]
    if architecture == "arm":
        return [f"v{level}" for level in range(number or 7, 4, -1)]
    return [variant]


def _amd64_level(cpuinfo: Path) -> str:
    level = ""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return level
    flags = next((set(line.split()) for line in text.splitlines() if line.startswith("flags")), set())
    for name, needed in _AMD64_LEVELS:
        if not needed <= flags:
            break
        level = name
    return level
