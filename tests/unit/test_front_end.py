"""The front end's own tests, run by node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "static"


def test_the_libraries_of_the_pages() -> None:
    # Where the host has none, the front end has been built by a Node.js of the project's own.
    own = STATIC.parent / ".cache/node/bin"
    node = shutil.which("node") or shutil.which("node", path=str(own))
    if node is None:
        pytest.skip(f"no node, neither on this host's PATH nor in {own}: ./tests/run installs one")
    # One by one: versions of node differ in what a directory means here.
    tests = sorted(str(path.relative_to(STATIC)) for path in (STATIC / "src").rglob("*.test.js"))
    done = subprocess.run(
        [node, "--test", *tests], cwd=STATIC, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "pass 0" not in done.stdout
