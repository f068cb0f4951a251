"""The docker commands for what the pages of images do."""

from __future__ import annotations

import shlex


def of_image(name: str) -> tuple[tuple[str, str], ...]:
    """What people do with an image at a shell: what for, and the command."""
    quoted = shlex.quote(name)
    file = "".join(character if character.isalnum() or character in ".-_" else "_" for character in name)
    return (
        ("run", f"docker run --rm -ti {quoted}"),
        ("look", f"docker history --no-trunc {quoted}"),
        ("save", f"docker save {quoted} | gzip > {file}.tar.gz"),
    )
