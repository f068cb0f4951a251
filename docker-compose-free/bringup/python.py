"""The virtual environment and what is locked to go into it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bringup.config import PROJECT, Config
from bringup.console import Failure, run, step
from bringup.host import Need, find, install
from bringup.reach import reachable_by_all

LOCK = PROJECT / "requirements.lock"
MINIMUM = (3, 11)
_ADVICE = "Look at the lines above: usually the network or the disk. Starting again goes on from here."


def ensure(config: Config, lock: Path = LOCK) -> None:
    """Make the virtual environment and install *lock* into it, unless that has been done already."""
    stamp = config.venv / f".{lock.name}.sha256"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if config.python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    if not _usable(config.python):
        base = _interpreter()
        with step(f"making a virtual environment in {config.venv} with {base}"):
            shutil.rmtree(config.venv, ignore_errors=True)
            run([base, "-m", "venv", config.venv], advice=_ADVICE)
    with step(f"installing the packages of {lock.name}"):
        pip = [config.python, "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
        run([*pip, "--require-hashes", "--requirement", lock], advice=_ADVICE)
    stamp.write_text(wanted)
    if _pins(LOCK) <= _pins(lock):
        (config.venv / f".{LOCK.name}.sha256").write_text(hashlib.sha256(LOCK.read_bytes()).hexdigest())


def compile_sources(config: Config) -> None:
    """Bytecode for the project's code: the web side's user may not write it, and would compile at each start."""
    run([config.python, "-m", "compileall", "-q", "engine", "webui"], cwd=PROJECT, advice="Is the clone complete?")


def _pins(lock: Path) -> set[str]:
    return set(re.findall(r"^[A-Za-z0-9._\[\]-]+==[^ ;\\]+", lock.read_text(), re.MULTILINE))


def _interpreter() -> str:
    """A Python that is new enough, can make environments, and that the web side's user can run."""
    found = _candidate()
    if found:
        return found
    # Ubuntu 22.04 has 3.10 by default, and 3.11 beside it.
    version = "3" if _version("/usr/bin/python3") >= MINIMUM else "3.11"
    needs = [f"python{version}", f"python{version}-venv"]
    install([Need(package, f"{package} (Python 3.11 or later)", lambda: _candidate() is not None) for package in needs])
    found = _candidate()
    if not found:
        raise Failure("Havre needs Python 3.11 or later with the module venv; install it and start again")
    return found


def _candidate() -> str | None:
    names = ("python3", "python3.13", "python3.12", "python3.11", "python3.14")
    places = [*(f"/usr/bin/{name}" for name in names), sys.executable, *filter(None, map(find, names))]
    usable = [place for place in dict.fromkeys(places) if _usable(Path(place))]
    return next((place for place in usable if reachable_by_all(Path(place).resolve())), usable[0] if usable else None)


def _usable(python: Path) -> bool:
    return (
        os.access(python, os.X_OK)
        and _version(str(python)) >= MINIMUM
        and _works(str(python), "import ensurepip, ssl, sqlite3")
    )


def _version(python: str) -> tuple[int, ...]:
    result = _ask(python, "import sys; print(*sys.version_info[:2])")
    return tuple(int(part) for part in result.stdout.split()) if result and result.returncode == 0 else (0,)


def _works(python: str, code: str) -> bool:
    result = _ask(python, code)
    return result is not None and result.returncode == 0


def _ask(python: str, code: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
