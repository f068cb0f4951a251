"""How the supervisor tells of a process that ends before it is ready."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from bringup.console import Failure
from bringup.supervisor import Running, Service


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os.kill(os.getpid(), 11)", "web was ended by SIGSEGV before it was ready. It said nothing."),
        ("raise SystemExit(3)", "web ended with exit code 3 before it was ready. It said nothing."),
        ("raise SystemExit('no')", "web ended with exit code 1 before it was ready. Its last lines:\n    no"),
    ],
)
async def test_a_process_that_ends_too_early(tmp_path: Path, code: str, told: str) -> None:
    command = (sys.executable, "-c", code)
    running = Running(Service("web", command, cwd=tmp_path, environ=os.environ, ready=lambda: False))
    with pytest.raises(Failure) as failure:
        await running.wait_ready()
    await running.stop()
    assert str(failure.value) == told
