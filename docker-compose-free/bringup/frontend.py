"""The front end: npm's locked packages, bundled into static/dist. Node comes from the host, or from a Python wheel."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bringup.config import PROJECT, Config
from bringup.console import Failure, run, say, step
from bringup.host import find

STATIC = PROJECT / "static"
DIST = STATIC / "dist"
NODE_LOCK = Path(__file__).parent / "requirements-node.lock"
MINIMUM_NODE = 18
_ADVICE = "Look at the lines above: usually the network or the disk. Starting again goes on from here."


def ensure(config: Config) -> None:
    """Build static/dist, unless the sources are those of the last build."""
    if not (STATIC / "package.json").exists():
        say("static/package.json is missing: pages will come without styles and scripts")
        return
    wanted = _fingerprint()
    stamp = DIST / ".sources.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    environ = _environ_with_node(config)
    npm = ["npm", "--no-audit", "--no-fund", "--no-update-notifier"]
    installed, lock = STATIC / "node_modules/.havre-lock.sha256", _hash(STATIC / "package-lock.json")
    if not (installed.exists() and installed.read_text() == lock):
        with step("installing the front end's packages"):
            run([*npm, "ci"], cwd=STATIC, environ=environ, advice=_ADVICE)
        installed.write_text(lock)
    with step("building the front end"):
        run([*npm, "run", "build"], cwd=STATIC, environ=environ, advice="The sources in static/ do not build.")
    if not DIST.is_dir():
        raise Failure("the front end's build made no static/dist; look at the script `build` in static/package.json")
    stamp.write_text(wanted)


def _fingerprint() -> str:
    """Changes with any source file's name or bytes."""
    total = hashlib.sha256()
    for path in sorted(_sources()):
        total.update(f"{path.relative_to(STATIC).as_posix()}\0{_hash(path)}\n".encode())
    return total.hexdigest()


def _sources() -> Iterator[Path]:
    """The files that are no result: npm's directory is not even walked through, it has more than ten thousand."""
    for top in STATIC.iterdir():
        if top.is_file():
            yield top
        elif top.name not in ("node_modules", "dist"):
            yield from (path for path in top.rglob("*") if path.is_file())


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _environ_with_node(config: Config) -> dict[str, str]:
    """An environment in which npm runs."""
    node, npm = find("node"), find("npm")
    if node and npm and _major(node) >= MINIMUM_NODE:
        return dict(os.environ)
    directory = PROJECT / ".cache/node"
    if not (directory / "bin/npm").exists():
        with step("installing Node.js into .cache/node"):
            run([config.python, "-m", "venv", directory], advice=_ADVICE)
            pip = [directory / "bin/python", "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
            run([*pip, "--require-hashes", "--requirement", NODE_LOCK], advice=_ADVICE)
    return {**os.environ, "PATH": f"{directory / 'bin'}:{os.environ.get('PATH', '')}"}


def _major(node: str) -> int:
    result = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    digits = result.stdout.strip().lstrip("v").partition(".")[0]
    return int(digits) if digits.isdigit() else 0
