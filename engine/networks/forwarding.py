"""Forwarding that other rules of the host would refuse: Docker's policy of dropping, or an administrator's.

A table of our own can only add refusals to those of another table, so what it lets through is accepted in theirs too.
Docker keeps the chain DOCKER-USER for exactly this, and takes one that it finds: where dockerd is installed it is made,
in case that starts later than we. Where FORWARD does not lead there, and refuses anything, the rules go into it, too.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from typing import Final

_PATH: Final = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin:/usr/local/bin"
_PROGRAMS: Final = ("iptables", "ip6tables")
_DOCKERS: Final = "DOCKER-USER"
_FORWARD: Final = "FORWARD"


def accept(bridges: Collection[str]) -> None:
    """Let the packets of *bridges* through in the tables of others; repeated, it changes nothing."""
    if not bridges:
        return
    for program in _PROGRAMS:
        for chain in _chains(program):
            present = _listed(program, chain)
            for rule in _rules(bridges):
                if rule not in present:
                    _run(program, "-I", chain, *rule.split())


def forget(bridges: Collection[str]) -> None:
    """Take back what `accept` has added."""
    for program in _PROGRAMS:
        for chain in (_DOCKERS, _FORWARD):
            present = _listed(program, chain)
            for rule in _rules(bridges):
                if rule in present:
                    _run(program, "-D", chain, *rule.split())


def _chains(program: str) -> Iterator[str]:
    """Where rules of ours must stand; nowhere, where nothing refuses."""
    if program == "iptables" and shutil.which("dockerd", path=_PATH) is not None:
        _run(program, "-N", _DOCKERS)
    if _listed(program, _DOCKERS):
        yield _DOCKERS
    forward = _listed(program, _FORWARD)
    if forward not in ([], [f"-P {_FORWARD} ACCEPT"]) and f"-j {_DOCKERS}" not in forward:
        yield _FORWARD


def _listed(program: str, chain: str) -> Sequence[str]:
    """The chain's rules as they would be added to it, after the line that makes it; nothing where there is no chain."""
    lines = _run(program, "-S", chain).splitlines()
    return [line.removeprefix(f"-A {chain} ") for line in lines]


def _rules(bridges: Collection[str]) -> list[str]:
    return [f"{option} {bridge} -j ACCEPT" for bridge in bridges for option in ("-i", "-o")]


def _run(program: str, *arguments: str) -> str:
    """What iptables prints of its table of filters; nothing where it fails, or is not on this host."""
    path = shutil.which(program, path=_PATH)
    if path is None:
        return ""
    return subprocess.run([path, "-w", *arguments], capture_output=True, text=True, check=False, timeout=30).stdout
