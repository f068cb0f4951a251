"""What runtimes say when they fail, in the words that clients look for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.containers.runtime.failures import runtime_failure
from engine.errors import CommandUnusable, RuntimeFailed


def failure(tmp_path: Path, message: str, *, verb: str = "create", program: str = "/x") -> Exception:
    log = tmp_path / "log"
    log.write_text(json.dumps({"msg": message, "level": "error"}) + "\n")
    return runtime_failure(verb=verb, said="", log=log, program=program)


@pytest.mark.parametrize(
    ("crun", "code", "words"),
    [
        (
            "executable file `nope` not found in $PATH: No such file or directory",
            127,
            'exec: "nope": executable file not found in $PATH: unknown',
        ),
        ("executable file `/no` not found: No such file or directory", 127, "stat /no: no such file or directory"),
        ("open executable: Permission denied", 126, 'exec: "/x": permission denied'),
        ("open executable: Operation not permitted", 126, 'exec: "/x": permission denied'),
        ("the path `/x` is not a regular file: Operation not permitted", 126, 'exec: "/x": permission denied'),
        (
            "chdir to `/no`: No such file or directory",
            127,
            'chdir to cwd ("/no") set in config.json failed: no such file or directory',
        ),
    ],
)
def test_commands_in_cruns_words(tmp_path: Path, crun: str, code: int, words: str) -> None:
    found = failure(tmp_path, crun, verb="exec")
    assert isinstance(found, CommandUnusable)
    assert found.exit_code == code
    assert str(found).startswith("OCI runtime exec failed: exec failed: unable to start container process: ")
    assert words in str(found)


def test_what_is_not_about_the_command(tmp_path: Path) -> None:
    found = failure(tmp_path, "mount `/no` to `x`: No such file or directory")
    assert isinstance(found, RuntimeFailed)
    assert str(found) == "OCI runtime create failed: mount `/no` to `x`: No such file or directory: unknown"
