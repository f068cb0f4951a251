"""`python -m webui.serve`, the web process as `up` and systemd run it. `tests/engine/test_up.py` has it serve."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.fixtures.daemons import PROJECT
from tests.fixtures.processes import clean_environ


def serve(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the web process says that ends at once."""
    return subprocess.run(
        [sys.executable, "-m", "webui.serve", *arguments],
        env=clean_environ(HAVRE_ROOT=str(root), DJANGO_SETTINGS_MODULE="webui.settings"),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/web.sqlite3").write_bytes(b"this is no database, but something else of some length" * 100)
    served = serve(tmp_path, "--port", "0")
    assert served.returncode == 1
    assert "the database cannot be brought up to date: file is not a database" in served.stderr
    assert f"Look whether {tmp_path}/web belongs to this process's user" in served.stderr
    assert "Traceback" not in served.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        served = serve(tmp_path, "--bind", "127.0.0.1", "--port", str(port))
    assert served.returncode == 1
    assert "cannot serve pages: [Errno 98] Address already in use" in served.stderr
    assert f"('127.0.0.1', {port})" in served.stderr
    assert not (tmp_path / "web").exists(), "nothing was begun"
