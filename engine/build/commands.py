"""The command of a RUN: what is executed for its shell form, exec form, and here-documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.build.dockerfile.heredocs import of_word
from engine.build.dockerfile.model import Run
from engine.containers.spec.mounts import ReadyMount

_SCRIPTS: Final = "/dev/pipes/"
"""Where a script of its own is in the container: in memory, as with BuildKit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    words: tuple[str, ...]
    """What is executed."""
    told: tuple[str, ...]
    """What history and messages say."""
    script: str = ""
    """A program of its own, which `words` name."""

    def script_mounts(self, bundle: Path) -> Sequence[ReadyMount]:
        """The script, written into *bundle*, as it is mounted for the command."""
        if not self.script:
            return ()
        place = bundle / "script"
        place.write_text(self.script, encoding="utf-8", errors="surrogateescape")
        place.chmod(0o755)
        return [ReadyMount(source=place, target=self.words[0], options=("bind", "ro"))]


def of_run(given: Run, shell: Sequence[str]) -> RunCommand:
    """The command of *given*, where *shell* is the image's.

    A here-document alone is a script: for the shell, or by itself where it begins with `#!`. Others are left to the
    shell, which reads them as it would anywhere else.
    """
    if not given.command.shell_form:
        return RunCommand(words=given.command.words, told=given.command.words)
    text = given.command.text
    if given.heredocs:
        [first, *others] = given.heredocs
        if not others and of_word(text.strip()) is not None:
            if first.text.startswith("#!"):
                name = f"{_SCRIPTS}{first.name}"
                return RunCommand(
                    words=(name,), told=(*shell, f"{text}\n{first.content}{first.name}"), script=first.text
                )
            return RunCommand(words=(*shell, first.text), told=(*shell, first.text))
        text = "\n".join([text, *(f"{each.content}{each.name}" for each in given.heredocs)])
    return RunCommand(words=(*shell, text), told=(*shell, text))
