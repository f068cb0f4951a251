"""The seccomp profile and the capabilities that it depends on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.containers.spec import capabilities, seccomp
from engine.errors import InvalidParameter

ALL = frozenset(capabilities.ALL)


def names(profile: dict[str, Any], *held: str) -> set[str]:
    rules = seccomp.reduced(json.dumps(profile), held)["syscalls"]
    return {name for rule in rules for name in rule["names"]}


def profile(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules)}


def rule(name: str, **conditions: Any) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", **conditions}


def test_conditions_on_capabilities() -> None:
    made = profile(
        rule("always"),
        rule("with", includes={"caps": ["CAP_SYS_ADMIN"]}),
        rule("with_both", includes={"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}),
        rule("without", excludes={"caps": ["CAP_SYS_ADMIN"]}),
    )
    assert names(made) == {"always", "without"}
    assert names(made, "CAP_SYS_ADMIN") == {"always", "with"}
    assert names(made, "CAP_BPF", "CAP_SYS_ADMIN") == {"always", "with", "with_both"}


def test_conditions_on_architecture_and_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    seccomp.reduced.cache_clear()
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("platform.release", lambda: "5.10.0-28-amd64")
    made = profile(
        rule("amd", includes={"arches": ["amd64", "x32"]}),
        rule("arm", includes={"arches": ["arm64"]}),
        rule("not_amd", excludes={"arches": ["amd64"]}),
        rule("since_4_8", includes={"minKernel": "4.8"}),
        rule("since_5_10", includes={"minKernel": "5.10"}),
        rule("since_6", includes={"minKernel": "6.0"}),
        rule("until_5", excludes={"minKernel": "5.0"}),
    )
    made["archMap"] = [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    ]
    assert names(made) == {"amd", "since_4_8", "since_5_10"}
    result = seccomp.reduced(json.dumps(made), ())
    assert result["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    seccomp.reduced.cache_clear()


def test_arguments_and_old_names_are_kept() -> None:
    argument = {"index": 0, "value": 1, "valueTwo": None, "op": "SCMP_CMP_EQ"}
    made = profile({"name": "old", "action": "SCMP_ACT_ERRNO", "args": [argument], "errnoRet": 38})
    assert seccomp.reduced(json.dumps(made), ())["syscalls"] == [
        {
            "names": ["old"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}],
            "errnoRet": 38,
        }
    ]


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", "1", "{}", '{"defaultAction": "x", "syscalls": [1]}', "[" * 100_000]
)
def test_what_is_no_profile(text: str) -> None:
    with pytest.raises(InvalidParameter, match="seccomp profile"):
        seccomp.reduced(text, ())


def test_the_hosts_default_profile() -> None:
    """What decides over the safety of every container."""

    def allowed(*held: str) -> set[str]:
        return {
            name
            for each in seccomp.default_filter((*capabilities.DEFAULT, *held))["syscalls"]
            if each["action"] == "SCMP_ACT_ALLOW" and not each.get("args")
            for name in each["names"]
        }

    assert "SCMP_ARCH_X32" not in seccomp.default_filter(capabilities.DEFAULT).get("architectures", ())
    usual = allowed()
    assert {"read", "execve", "openat2", "fork", "chroot"} <= usual
    for name in (
        "mount",
        "bpf",
        "kexec_load",
        "init_module",
        "setns",
        "unshare",
        "reboot",
        "clone",
        "clone3",
        "keyctl",
    ):
        assert name not in usual, name
    assert {"mount", "unshare", "clone", "clone3", "setns", "bpf"} <= allowed("CAP_SYS_ADMIN")
    assert "reboot" in allowed("CAP_SYS_BOOT")
    assert "keyctl" not in allowed(*ALL)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], set(capabilities.DEFAULT)),
        (["SYS_ADMIN"], [], {*capabilities.DEFAULT, "CAP_SYS_ADMIN"}),
        (["cap_net_admin"], ["CAP_MKNOD"], {*capabilities.DEFAULT, "CAP_NET_ADMIN"} - {"CAP_MKNOD"}),
        (["CHOWN"], ["ALL"], {"CAP_CHOWN"}),
        (["ALL"], ["SYS_ADMIN"], ALL - {"CAP_SYS_ADMIN"}),
        ([], ["all"], set()),
    ],
)
def test_capabilities(add: list[str], drop: list[str], expected: set[str]) -> None:
    assert set(capabilities.effective(add=add, drop=drop, privileged=False, held=ALL)) == expected


def test_only_what_the_engine_holds_can_be_given() -> None:
    assert len(capabilities.DEFAULT) == 14
    held = ALL - {"CAP_SYS_RESOURCE"}
    assert set(capabilities.effective(add=(), drop=(), privileged=True, held=held)) == held
    with pytest.raises(InvalidParameter, match='unknown capability: "CAP_NOPE"'):
        capabilities.effective(add=["NOPE"], drop=(), privileged=False, held=held)
