"""The docker commands for what the pages of volumes do."""

from __future__ import annotations

import shlex

from webui import gateway
from webui.volumes.selectors import without_secrets


def create_command(volume: gateway.VolumeSummary) -> str:
    """The `docker volume create` that would make such a volume; passwords in its options are left out."""
    parts = ["docker volume create"]
    if volume.driver != "local":
        parts.append(f"--driver {shlex.quote(volume.driver)}")
    for name, value in sorted(volume.options.items()):
        parts.append(f"-o {shlex.quote(f'{name}={without_secrets(value)}')}")
    for name, value in sorted(volume.labels.items()):
        parts.append(f"--label {shlex.quote(f'{name}={value}')}")
    return " \\\n  ".join([*parts, shlex.quote(volume.name)])


def look_command(volume: gateway.VolumeSummary) -> str:
    """A shell beside the data."""
    return f"docker run --rm -ti -w /data \\\n  -v {shlex.quote(volume.name)}:/data debian bash"


def copy_command(volume: gateway.VolumeSummary) -> str:
    """The data as an archive in the directory where one is."""
    name = shlex.quote(volume.name)
    return f"docker run --rm -v {name}:/data:ro \\\n  debian tar -cz -C /data . > {name}.tar.gz"
