"""What the client makes of tar archives: the file in one, and one of files."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client.container_files import FileOfArchive, archive_of
from engine.client.errors import EndpointFault


def _read(archive: bytes, *, piece: int) -> bytes:
    reader = FileOfArchive()
    return b"".join(reader.feed(archive[at : at + piece]) for at in range(0, len(archive), piece))


@given(st.binary(max_size=3000), st.integers(1, 700), st.text(min_size=1, max_size=300).filter(lambda t: "\0" not in t))
def test_a_file_comes_out_as_it_went_in(content: bytes, piece: int, name: str) -> None:
    # Long and strange names make headers of their own before the file's.
    name = name.encode("utf-8", "replace").decode()
    archive = b"".join(archive_of([(name, len(content), [content]), ("another", 1, [b"x"])], modified=0))
    assert _read(archive, piece=piece) == content
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert [(member.name, member.size, member.mode) for member in tar][1] == ("another", 1, 0o644)


def test_what_is_no_file_has_no_content() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    reader = FileOfArchive()
    assert reader.feed(buffer.getvalue()) == b""
    assert reader.done
    assert FileOfArchive().feed(bytes(1024)) == b""


def test_a_size_that_ustar_cannot_tell_is_read_from_pax() -> None:
    member = tarfile.TarInfo("huge")
    member.size = 1 << 40
    header = member.tobuf(tarfile.PAX_FORMAT)
    reader = FileOfArchive()
    assert reader.feed(header + b"beginning") == b"beginning"
    assert not reader.done


@pytest.mark.parametrize("archive", [b"x" * 512, b"\xff" * 2000])
def test_what_is_no_archive_is_an_error(archive: bytes) -> None:
    with pytest.raises(EndpointFault):
        FileOfArchive().feed(archive)


def test_a_header_of_an_impossible_size_is_not_waited_for() -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 1 << 32
    with pytest.raises(EndpointFault):
        FileOfArchive().feed(member.tobuf(tarfile.GNU_FORMAT))
