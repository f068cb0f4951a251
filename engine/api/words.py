"""Ages, sizes and states in the words that Docker's clients show (docker/go-units, moby `container/state.go`)."""

from __future__ import annotations

from typing import Final

from engine.containers.model import HealthStatus, State, Status
from engine.types import SECOND

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def duration(nanoseconds: int) -> str:
    """An age, such as `3 seconds`, `About an hour`, `2 weeks`."""
    seconds = int(nanoseconds / SECOND)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"


def size(amount: float) -> str:
    """Bytes with four significant digits in powers of 1000: `1.984MB`."""
    unit = 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount /= 1000
        unit += 1
    return f"{amount:.4g}{_UNITS[unit]}"


def progress_bar(current: int, total: int) -> str:
    """The bar that Docker draws in a pull's lines, for clients that do not draw their own."""
    if current <= 0 and total <= 0:
        return ""
    if total <= 0:
        return f"{size(current):>8}"
    filled = min(int(current / total * 100) // 2, 50)
    numbers = f"{size(current):>8}" if current > total else f"{size(current):>8}/{size(total)}"
    return f"[{'=' * filled}>{' ' * (50 - filled)}] {numbers}"


def status(state: State, *, now: int) -> str:
    """A container's state as the list shows it: `Up 3 seconds`, `Exited (3) 2 minutes ago`."""
    up = duration(now - (state.started_at or now))
    ago = duration(now - (state.finished_at or now))
    if state.status is Status.PAUSED:
        return f"Up {up} (Paused)"
    if state.status is Status.RESTARTING:
        return f"Restarting ({state.exit_code}) {ago} ago"
    if state.status is Status.RUNNING:
        return f"Up {up}{_health(state)}"
    if state.status is Status.REMOVING:
        return "Removal In Progress"
    if state.status is Status.DEAD:
        return "Dead"
    if state.started_at is None:
        return "Created"
    return f"Exited ({state.exit_code}) {ago} ago" if state.finished_at is not None else ""


def _health(state: State) -> str:
    if state.health is None:
        return ""
    return " (health: starting)" if state.health.status is HealthStatus.STARTING else f" ({state.health.status})"
