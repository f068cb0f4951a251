"""AppArmor as the kernel shows it, and what a container may ask of it on any host."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.containers import apparmor
from engine.containers.options import HostConfig
from engine.errors import InvalidParameter
from engine.kernel import apparmor as kernel


@pytest.mark.parametrize(("text", "expected"), [("Y\n", True), ("N\n", False), (None, False)])
def test_whether_the_kernel_uses_it(tmp_path: Path, text: str | None, expected: bool) -> None:
    module = tmp_path / "enabled"
    if text is not None:
        module.write_text(text)
    assert kernel.enabled(module) is expected


def test_names_of_profiles(tmp_path: Path) -> None:
    profiles = tmp_path / "profiles"
    profiles.write_text("/usr/bin/man (enforce)\nhavre-default (complain)\na (b) c (unconfined)\n")
    assert kernel.loaded(profiles) == {"/usr/bin/man", "havre-default", "a (b) c"}


@pytest.mark.parametrize("name", ["", "unconfined", "docker-default", "havre-default"])
def test_what_may_be_asked_for_everywhere(name: str) -> None:
    apparmor.check(name)


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(InvalidParameter, match="apparmor=nosuch: "):
        apparmor.check("nosuch")


@pytest.mark.skipif(kernel.enabled(), reason="this host has AppArmor: tests/engine/test_apparmor.py looks at it")
def test_a_host_without_it_has_no_profiles() -> None:
    assert not apparmor.available()
    assert apparmor.load_default() == ""
    assert apparmor.profile_of(HostConfig()) == ""
