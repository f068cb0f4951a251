"""What the OCI runtime says when it fails, told in the words that Docker's clients look for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from engine.errors import CommandUnusable, EngineError, RuntimeFailed

# The docker CLI derives its own exit status from these words (cli/command/container/run.go), so they are a contract.
_NOT_FOUND: Final = ("executable file not found", "no such file or directory", "system cannot find the file specified")
_NOT_EXECUTABLE: Final = ("permission denied", "is a directory", "exec format error", "not a directory")


# crun's words (src/libcrun/container.c, utils.c), which runc says differently.
_CRUN_NOT_FOUND: Final = re.compile(r"executable file `(.+)` not found.*")
_CRUN_NOT_EXECUTABLE: Final = re.compile(
    r"(?:open executable|the path `.+` is not a regular file): (?:Permission denied|Operation not permitted)"
)
_CRUN_NO_DIRECTORY: Final = re.compile(r"chdir to `(.+)`: (.+)")


def runtime_failure(*, verb: str, said: str, log: Path, program: str = "") -> EngineError:
    """The error for a runtime that could not *verb* (`create`, `start`, `exec`) a process that runs *program*.

    *log* is the runtime's log in JSON lines, whose last error counts; *said* is what it wrote to stderr, for want of
    one. A command that cannot be executed is a `CommandUnusable`, anything else a `RuntimeFailed`.
    """
    reason = _in_words_of_runc(_last_error(log) or said.strip() or "the runtime gave no reason", verb, program)
    message = f"OCI runtime {verb} failed: {reason}: unknown"
    # Only these words of the runtime are about the command itself; mounts fail with "no such file or directory" too.
    if "exec: " in reason or "chdir to cwd" in reason:
        if any(words in reason for words in _NOT_FOUND):
            return CommandUnusable(message, exit_code=127)
        if any(words in reason for words in _NOT_EXECUTABLE):
            return CommandUnusable(message, exit_code=126)
    return RuntimeFailed(message)


def failed(log: Path) -> bool:
    """Whether the runtime's *log* tells of a failure of its own."""
    return bool(_last_error(log))


def _in_words_of_runc(reason: str, verb: str, program: str) -> str:
    """What crun says of a command, as runc says it; anything else as it is."""
    if found := _CRUN_NOT_FOUND.fullmatch(reason):
        name = found[1]
        detail = f"stat {name}: no such file or directory" if "/" in name else "executable file not found in $PATH"
        reason = f'exec: "{name}": {detail}'
    elif _CRUN_NOT_EXECUTABLE.fullmatch(reason):
        reason = f'exec: "{program}": permission denied'
    elif found := _CRUN_NO_DIRECTORY.fullmatch(reason):
        reason = f'chdir to cwd ("{found[1]}") set in config.json failed: {found[2].lower()}'
    else:
        return reason
    return f"{verb} failed: unable to start container process: {reason}"


def _last_error(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal", "panic"):
            return str(entry.get("msg", ""))
    return ""
