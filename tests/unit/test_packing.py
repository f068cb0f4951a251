"""Tars of directory trees, read by somebody who stops."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from engine.snapshots.packing import pack_directory


def test_a_stream_that_is_closed_holds_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(2 * 1024**2))
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        before = _descriptors()
        chunks = pack_directory(root)
        with pytest.raises(BrokenPipeError) as kept:
            _stop_reading(chunks)
        assert kept.value.__traceback__ is not None
        assert _descriptors() == before
    finally:
        os.close(root)


def _descriptors() -> set[str]:
    # The directory that is being read has a descriptor as well.
    return {place.name for place in Path("/proc/self/fd").iterdir() if place.exists()}


def _stop_reading(chunks: Generator[bytes]) -> None:
    with closing(chunks):
        for _ in chunks:
            raise BrokenPipeError  # what the reader has in hand keeps its frame, and the stream in it
