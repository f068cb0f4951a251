"""What the history of an image says of its steps, in the words of Docker's classic builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


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
