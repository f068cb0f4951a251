"""HEALTHCHECK: its times, and how the command is written."""

from __future__ import annotations

from typing import Any, Final

from engine.build.dockerfile import forms
from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.flags import Flags
from engine.build.dockerfile.words import SPACE
from engine.types import parse_duration

_SHORTEST: Final = 1_000_000
"""Nanoseconds, as in Docker."""
_MOST_RETRIES: Final = (1 << 31) - 1


def healthcheck(rest: str, flags: Flags) -> dict[str, Any]:
    """The fields of `model.Healthcheck` other than those that all instructions have."""
    kind = rest.split(maxsplit=1)[0]
    command = rest[len(kind) :].strip(SPACE)
    if kind.upper() == "NONE":
        if command:
            raise Mistake("HEALTHCHECK NONE takes no arguments", token=command)
        return {"test": ("NONE",)}
    if kind.upper() != "CMD":
        raise Mistake(f'Unknown type "{kind[:60].upper()}" in HEALTHCHECK (try CMD)', token=kind)
    line = forms.command(command)
    if not line.words:
        raise Mistake("Missing command after HEALTHCHECK CMD", token=kind)
    return {
        "test": ("CMD-SHELL" if line.shell_form else "CMD", *line.words),
        "interval": _duration("interval", flags),
        "timeout": _duration("timeout", flags),
        "start_period": _duration("start-period", flags),
        "start_interval": _duration("start-interval", flags),
        "retries": _retries(flags),
    }


def _duration(name: str, flags: Flags) -> int:
    text = flags.text(name)
    if text in ("", "0"):
        return 0
    duration = parse_duration(text)
    if duration is None:
        raise Mistake(f'time: invalid duration "{text[:60]}" for --{name}: write 30s, 1m30s or 500ms', token=text)
    if 0 < duration < _SHORTEST:
        raise Mistake(f'Interval "{name}" cannot be less than 1ms', token=text)
    return duration


def _retries(flags: Flags) -> int:
    text = flags.text("retries")
    if not text:
        return 0
    digits = text.removeprefix("+").removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) <= _MOST_RETRIES):
        raise Mistake(f'--retries wants a number, not "{text[:60]}"', token=text)
    if text.startswith("-") and int(digits):
        raise Mistake(f"--retries cannot be negative ({text})", token=text)
    return int(digits)
