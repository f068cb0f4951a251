"""Signals by name or number, as Docker's clients write them: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`."""

from __future__ import annotations

import re
import signal

from engine.errors import InvalidParameter

_REAL_TIME = re.compile(r"RTM(IN|AX)([+-]\d{1,2})?")


def signal_number(text: str) -> int:
    """The number of the signal that *text* names; `InvalidParameter` in Docker's words."""
    word = text.strip().upper().removeprefix("SIG")
    if word.isascii() and word.isdecimal() and len(word) < 4 and 0 < int(word) <= signal.SIGRTMAX:
        return int(word)
    match = _REAL_TIME.fullmatch(word)
    if match:
        base = int(signal.SIGRTMIN if match[1] == "IN" else signal.SIGRTMAX)
        number = base + int(match[2] or 0)
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    found = getattr(signal, f"SIG{word}", None) if word.isalnum() else None
    if isinstance(found, signal.Signals):
        return int(found)
    raise InvalidParameter(f"Invalid signal: {text[:40]}")


def signal_name(number: int) -> str:
    """The name of a signal, such as `SIGTERM`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
