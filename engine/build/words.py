"""What the history of an image says of its steps, in the words of Docker's classic builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.types import SECOND


def comment(shell: Sequence[str], text: str) -> str:
    """A step that changed only the config."""
    return " ".join((*shell, "#(nop) ", text))


def files_comment(shell: Sequence[str], text: str) -> str:
    """A step that changed files without a command: Docker leaves out a space there."""
    return " ".join((*shell, f"#(nop) {text}"))


def command(words: Sequence[str], arguments: Mapping[str, str]) -> str:
    """A command, with the build arguments that it could see."""
    if not arguments:
        return " ".join(words)
    told = [f"{name}={value}" for name, value in sorted(arguments.items())]
    return " ".join((f"|{len(told)}", *told, *words))


def quoted(words: Sequence[str]) -> str:
    """A list as Go's `%q` prints it."""
    return "[" + " ".join(go_quote(word) for word in words) + "]"


def go_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def duration(nanoseconds: int) -> str:
    """A duration as Go writes it: `1m30s`, `1.5s`, `100ms`."""
    if not nanoseconds:
        return "0s"
    if nanoseconds < SECOND:
        for unit, size in (("ms", 1_000_000), ("µs", 1000)):
            if nanoseconds >= size:
                return f"{nanoseconds / size:.9g}{unit}"
        return f"{nanoseconds}ns"
    seconds, fraction = divmod(nanoseconds, SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    tail = f"{seconds}" + f".{fraction:09d}".rstrip("0").rstrip(".") if fraction else f"{seconds}"
    if hours:
        return f"{hours}h{minutes}m{tail}s"
    return f"{minutes}m{tail}s" if minutes else f"{tail}s"
