"""Directories that nobody wants any more."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from engine.kernel.trees import remove_tree

_LOG: Final = logging.getLogger(__name__)


def discard(directory: Path) -> None:
    """Delete *directory*. What cannot be deleted now is told, and left for whoever sweeps at the next start."""
    try:
        remove_tree(directory)
    except FileNotFoundError:
        return  # it has got its name, or was never made
    except OSError as error:
        _LOG.warning("%s cannot be deleted and takes space: %s", directory, error)
