"""The second look at tests that failed: what passes then is named, what fails twice stays failed."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from tests.fixtures.lanes import run_suites
from tests.fixtures.second_look import FEW, SecondLook

ENVIRON = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
ONCE = """
import pathlib
def test_once():
    seen = pathlib.Path("seen")
    known = seen.exists()
    seen.touch()
    assert known
"""
ALWAYS = "def test_always():\n    assert False\n"
WELL = "import pathlib\ndef test_well():\n    with open('well', 'a') as file: file.write('.')\n"


def looked(where: Path, suites: dict[str, str]) -> tuple[dict[str, int], dict[str, tuple[list[str], int]]]:
    """Exit codes of the first runs, and per suite that ran again its tests and the exit code."""
    commands = {}
    for suite, code in suites.items():
        (where / f"test_{suite}.py").write_text(code)
        commands[suite] = [sys.executable, "-m", "pytest", f"test_{suite}.py"]
    (where / "pytest.ini").write_text("[pytest]\n")
    look = SecondLook(where / "cache")
    remembering = {suite: look.remembering(suite, command) for suite, command in commands.items()}
    results = run_suites(remembering, at_once=1, show=io.BytesIO(), cwd=where, environ=ENVIRON)
    seconds = look.again(commands, results, show=io.BytesIO(), cwd=where, environ=ENVIRON)
    first = {result.suite: result.code for result in results}
    return first, {suite: (tests, second.code) for suite, (tests, second) in seconds.items()}


def test_what_passes_alone_is_named_and_nothing_else_runs_again(tmp_path: Path) -> None:
    first, seconds = looked(tmp_path, {"mixed": ONCE + WELL, "well": WELL})
    assert first == {"mixed": 1, "well": 0}
    assert seconds == {"mixed": (["test_mixed.py::test_once"], 0)}
    assert (tmp_path / "well").read_text() == ".."


def test_what_fails_twice_stays_failed(tmp_path: Path) -> None:
    _, seconds = looked(tmp_path, {"once": ONCE, "always": ALWAYS})
    assert seconds == {"once": (["test_once.py::test_once"], 0), "always": (["test_always.py::test_always"], 1)}


@pytest.mark.parametrize(
    "code",
    [
        "".join(f"def test_{number}():\n    assert False\n" for number in range(FEW + 1)),
        "raise ValueError\n",
        "import os\ndef test_dies():\n    os._exit(9)\n",
    ],
    ids=["too many", "not collected", "cut short"],
)
def test_what_was_worse_is_not_run_again(tmp_path: Path, code: str) -> None:
    first, seconds = looked(tmp_path, {"bad": code, "once": ONCE})
    assert first["bad"] != 0
    assert seconds == {}
