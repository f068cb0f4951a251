"""AppArmor (apparmor(7)): whether this kernel confines by it, which profiles it has, and giving it one more."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

MODULE: Final = Path("/sys/module/apparmor/parameters/enabled")
PROFILES: Final = Path("/sys/kernel/security/apparmor/profiles")
_PATIENCE: Final = 30.0
_LONGEST: Final = 1024 * 1024


def enabled(module: Path = MODULE) -> bool:
    """Whether the kernel has AppArmor and uses it."""
    try:
        return module.read_text(encoding="ascii").strip() == "Y"
    except OSError:
        return False


def loaded(profiles: Path = PROFILES) -> frozenset[str]:
    """The names of the profiles that the kernel has. `OSError` where it does not tell."""
    # A line is "name (mode)", and a name may have spaces of its own.
    with profiles.open(encoding="utf-8") as lines:
        return frozenset(line.rpartition(" (")[0] for line in lines.read(_LONGEST).splitlines())


def load(text: str) -> None:
    """Give the kernel the profiles of *text* (apparmor.d(5)), in place of those that it has under these names.

    What a replaced profile confines is held by the new one from then on. `OSError` says why it did not work.
    """
    program = shutil.which("apparmor_parser", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise FileNotFoundError("there is no apparmor_parser: install the package apparmor")
    command = [program, "--replace", "--skip-cache"]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"apparmor_parser did not end within {_PATIENCE:.0f} s") from error
    if done.returncode:
        raise OSError(f"apparmor_parser refuses: {' '.join(done.stderr.split())[:300]}")
