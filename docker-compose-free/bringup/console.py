"""What people see: steps with their time, log lines with a coloured prefix, and failures that say what to do."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

COLOURS = {"havre": "1", "engine": "36", "redis": "31", "web": "32", "worker": "33"}


class Failure(Exception):
    """`up` cannot go on. The text says what failed and what to do about it."""


def say(text: str, *, source: str = "havre") -> None:
    """One line under the name of its source."""
    sys.stdout.write(f"{paint(f'{source:<7}|', COLOURS.get(source, '1'))} {text}\n")
    sys.stdout.flush()


def paint(text: str, code: str) -> str:
    """Coloured where a person looks at a terminal (NO_COLOR turns it off)."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a piece of work that takes a while, and say how long it took."""
    say(f"{title} …")
    began = time.monotonic()
    yield
    say(f"{title}: done in {time.monotonic() - began:.1f} s")


def run(
    command: Sequence[object],
    *,
    advice: str,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    preexec: Callable[[], None] | None = None,
) -> str:
    """Run a program to its end; what it printed. A failure shows its last lines and *advice*."""
    words = [str(word) for word in command]
    try:
        result = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(environ) if environ is not None else None,
            preexec_fn=preexec,
            check=False,
        )
    except OSError as error:
        raise Failure(f"cannot run {words[0]}: {error}\n{advice}") from error
    output = result.stdout.decode(errors="replace")
    if result.returncode:
        shown = "\n".join(f"    {line}" for line in output.splitlines()[-25:])
        raise Failure(f"this failed with exit code {result.returncode}: {shlex.join(words)}\n{shown}\n{advice}")
    return output
