"""Contexts and sources of builds: sent, on the web, in git; and what strangers may put into them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.server
import io
import lzma
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
import zstandard

from engine.build import downloads, git, plain
from engine.build.context import Context, from_address, from_archive, write_archive
from engine.build.means import Means
from engine.build.scratch import Scratch, Scratches
from engine.errors import Cancelled, DigestMismatch, InvalidParameter, Unavailable
from engine.snapshots.helper import UnpackLimits
from tests.conftest import needs_root, scratch_directory
from tests.fixtures.raw_tar import END, archive, directory, hard_link, member, pax, symlink
from tests.fixtures.web import served

LIMITS = UnpackLimits(entries=100, bytes=1_000_000)


@pytest.fixture
def place() -> Iterator[Path]:
    needs_root()
    with scratch_directory() as directory:
        directory.chmod(0o711)
        yield directory


@pytest.fixture
def scratch(place: Path) -> Iterator[Scratch]:
    scratches = Scratches(files=place / "files", bundles=place / "bundles", repositories=place / "repositories")
    with scratches.opened() as scratch:
        yield scratch
    assert not any(any(top.iterdir()) for top in (place / "files", place / "bundles", place / "repositories"))


def tar_of(**files: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.mode = len(data), 1234, 0o640
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def sent(scratch: Scratch, data: bytes, *, dockerfile: str = "", limits: UnpackLimits = LIMITS) -> Context:
    return from_archive(io.BytesIO(data))(means(scratch, limits), dockerfile)


def means(scratch: Scratch, limits: UnpackLimits = LIMITS) -> Means:
    return Means(scratch=scratch, limits=limits, check=lambda: None)


@pytest.mark.parametrize(
    "packed",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress],
    ids=["none", "gzip", "bzip2", "xz", "zstd"],
)
def test_a_context_may_be_compressed_in_any_way(scratch: Scratch, packed: Callable[[bytes], bytes]) -> None:
    context = sent(scratch, packed(tar_of(Dockerfile="FROM x\n", data=b"1" * 5000)))
    assert context.dockerfile == b"FROM x\n"
    assert (context.root / "data").read_bytes() == b"1" * 5000
    assert (context.root / "data").stat().st_uid == 0


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_a_context_that_is_cut_off_is_refused(scratch: Scratch, pack: Callable[[bytes], bytes]) -> None:
    whole = pack(tar_of(Dockerfile="FROM x\n", data=os.urandom(5000)))
    with pytest.raises(InvalidParameter, match="build context"):
        sent(scratch, whole[: len(whole) // 2])


def test_a_context_has_limits(scratch: Scratch) -> None:
    with pytest.raises(InvalidParameter, match="more than the 1000 bytes that are allowed"):
        sent(scratch, tar_of(big=b"0" * 1001), limits=UnpackLimits(entries=10, bytes=1000))
    with pytest.raises(InvalidParameter, match="more than the 10 entries that are allowed"):
        sent(scratch, tar_of(**{f"f{n}": "" for n in range(11)}), limits=UnpackLimits(entries=10, bytes=1000))


def described(root: Path) -> list[str]:
    return sorted(
        f"{path.relative_to(root)} {status.st_mode:o} {status.st_uid} {status.st_mtime_ns} "
        f"{path.read_bytes() if path.is_file() else b''!r}"
        for path in root.rglob("*")
        if (status := path.lstat())
    )


def test_a_small_context_is_unpacked_as_a_large_one_is(scratch: Scratch) -> None:
    data = archive(
        member(b"Dockerfile", content=b"FROM x", mode=0o4755, owner=(7, 8)),
        directory(b"d", mode=0o710),
        member(b"d/e/f", content=b"1" * 700),
        directory(b"./d/g/"),
    )
    quick, slow = scratch.directory("quick"), scratch.directory("slow")
    assert plain.unpack(data, quick, limits=LIMITS) == 706
    assert write_archive([data], slow, limits=LIMITS, what="it") == 706
    missing = "d/e "  # nobody has told its time
    assert [line for line in described(quick) if not line.startswith(missing)] == [
        line for line in described(slow) if not line.startswith(missing)
    ]


@pytest.mark.parametrize(
    "data",
    [
        archive(member(b"a", content=b"1"), symlink(b"b", b"/etc/passwd")),
        archive(member(b"a", content=b"1"), hard_link(b"b", b"a")),
        archive(member(b"a", content=b"1"), member(b"a", content=b"2")),
        archive(member(b"a", content=b"1"), member(b"a/b", content=b"2")),
        archive(directory(b"a"), member(b"../b", content=b"2")),
        archive(directory(b"a"), member(b"dev", kind=b"3", device=(1, 3))),
        archive(pax({"SCHILY.xattr.user.x": b"1"}), member(b"a", content=b"1")),
        archive(member(b"a", content=b"1"))[:600],
        archive(member(b"a", content=b"1", checksum=1)),
        archive(*(member(b"f%d" % number) for number in range(101))),
    ],
)
def test_what_is_not_plain_is_left_to_the_helper(scratch: Scratch, data: bytes) -> None:
    root = scratch.directory("x")
    assert plain.unpack(data, root, limits=LIMITS) is None
    assert list(root.iterdir()) == []


def test_nothing_of_a_context_leaves_it(scratch: Scratch, place: Path) -> None:
    victim = place / "victim"
    victim.write_text("safe")
    hostile = symlink(b"link", os.fsencode(victim)) + member(b"link", content=b"overwritten")
    sent(scratch, member(b"Dockerfile", content=b"FROM x\n") + hostile + END)
    assert victim.read_text() == "safe"
    with pytest.raises(InvalidParameter, match=r"'\.\.'"):
        sent(scratch, member(b"../victim", content=b"x") + END)
    # A Dockerfile that is a link is looked up inside the context.
    with pytest.raises(InvalidParameter, match="Cannot locate specified Dockerfile"):
        sent(scratch, symlink(b"Dockerfile", b"/etc/passwd") + END)
    with pytest.raises(InvalidParameter, match="Cannot locate specified Dockerfile"):
        sent(scratch, tar_of(Dockerfile="FROM x\n"), dockerfile="../../../etc/passwd")


def test_the_dockerfile_is_where_one_says(scratch: Scratch) -> None:
    data = tar_of(Dockerfile="A", dockerfile="B", other="C", **{"other.dockerignore": "x", ".dockerignore": "y"})
    assert sent(scratch, data).dockerfile == b"A"
    assert sent(scratch, data).ignore == b"y"
    other = sent(scratch, data, dockerfile="other")
    assert (other.dockerfile, other.ignore) == (b"C", b"x")
    assert sent(scratch, tar_of(dockerfile="B")).dockerfile == b"B"


def serve(files: Mapping[str, bytes], request: http.server.BaseHTTPRequestHandler) -> None:
    """*files*, of which one is shorter than it says, and a way to the first."""
    if request.path == "/turn":
        request.send_response(302)
        request.send_header("Location", "/file")
        request.end_headers()
        return
    content = files.get(request.path)
    if content is None:
        request.send_error(404)
        return
    request.send_response(200)
    request.send_header("Last-Modified", "Sat, 03 Feb 2001 04:05:06 GMT")
    request.send_header("Content-Length", str(len(content) + (1 if request.path == "/short" else 0)))
    request.end_headers()
    request.wfile.write(content)


@pytest.fixture
def files() -> dict[str, bytes]:
    return {"/file": b"hello", "/short": b"cut"}


@pytest.fixture
def web(files: dict[str, bytes]) -> Iterator[str]:
    with served(partial(serve, files)) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_file_is_fetched_with_its_time_and_digest(place: Path, web: str) -> None:
    found = downloads.fetch(f"{web}/turn", place / "f", limit=100, check=lambda: None)
    assert (place / "f").read_bytes() == b"hello"
    assert found.modified == 981173106
    digest = f"sha256:{hashlib.sha256(b'hello').hexdigest()}"
    assert downloads.verified(found, digest) == found
    with pytest.raises(DigestMismatch, match="expected sha256:0"):
        downloads.verified(found, "sha256:" + "0" * 64)


def test_a_download_has_limits_and_reasons(place: Path, web: str) -> None:
    with pytest.raises(InvalidParameter, match="longer than the 4 bytes"):
        downloads.fetch(f"{web}/file", place / "a", limit=4, check=lambda: None)
    with pytest.raises(InvalidParameter, match="with status 404 Not Found"):
        downloads.fetch(f"{web}/none", place / "b", limit=4, check=lambda: None)
    with pytest.raises(Unavailable, match="onnection"):
        downloads.fetch(f"{web}/short", place / "c", limit=100, check=lambda: None)
    with pytest.raises(Unavailable, match="connection refused"):
        downloads.fetch("http://127.0.0.1:1/x", place / "d", limit=4, check=lambda: None)
    with pytest.raises(InvalidParameter, match="begins with http"):
        downloads.fetch("file:///etc/passwd", place / "e", limit=4, check=lambda: None)


def test_a_download_can_be_stopped(place: Path, web: str) -> None:

    def stop() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        downloads.fetch(f"{web}/file", place / "a", limit=100, check=stop)


def test_a_context_may_be_an_archive_or_a_dockerfile_on_the_web(
    scratch: Scratch, web: str, files: dict[str, bytes]
) -> None:
    files |= {"/c.tgz": gzip.compress(tar_of(Dockerfile="FROM a\n", f="1")), "/Dockerfile": b"FROM b\n"}
    context = from_address(f"{web}/c.tgz")(means(scratch), "")
    assert (context.dockerfile, (context.root / "f").read_text()) == (b"FROM a\n", "1")
    context = from_address(f"{web}/Dockerfile")(means(scratch), "")
    assert (context.dockerfile, list(context.root.iterdir())) == (b"FROM b\n", [])


@pytest.fixture
def repository(place: Path) -> Iterator[str]:
    """The address of a repository with branches, a tag, a hook and a filter, served by git's own daemon.

    The branch `bomb` has ten trees of ten times the next one each: ten thousand million files.
    """
    top = place / "served"
    work = top / "r.git"
    work.mkdir(parents=True)

    def run(*arguments: str, told: str = "") -> str:
        names = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always")
        command = ["git", *names, *arguments]
        done = subprocess.run(command, cwd=work, check=True, capture_output=True, text=True, input=told)
        return done.stdout.strip()

    run("init", "--quiet", "--initial-branch=main", ".")
    (work / "Dockerfile").write_text("FROM a\n")
    (work / "sub").mkdir()
    (work / "sub/Dockerfile").write_text("FROM sub\n")
    (work / "run").write_text("#!/bin/sh\n")
    (work / "run").chmod(0o755)
    (work / "link").symlink_to("sub/Dockerfile")
    (work / ".gitattributes").write_text("* filter=evil export-ignore\n")
    run("add", "--all")
    run("commit", "--quiet", "--message=one")
    run("tag", "v1")
    run("checkout", "--quiet", "-b", "other")
    (work / "Dockerfile").write_text("FROM other\n")
    run("commit", "--quiet", "--all", "--message=two")
    run("checkout", "--quiet", "main")
    run("config", "filter.evil.smudge", f"touch {place}/evil")
    tree = run("rev-parse", "main:sub")
    for _ in range(10):
        tree = run("mktree", told="".join(f"040000 tree {tree}\t{name}\n" for name in "abcdefghij"))
    run("branch", "bomb", run("commit-tree", "-m", "three", tree))
    large = run("hash-object", "-w", "--stdin", told="\0" * (20 << 20))
    run("branch", "large", run("commit-tree", "-m", "four", run("mktree", told=f"100644 blob {large}\tzeros\n")))
    daemon = ["git", "daemon", "--reuseaddr", "--export-all", f"--base-path={top}", "--listen=127.0.0.1"]
    port = 20000 + os.getpid() % 20000
    with subprocess.Popen([*daemon, f"--port={port}", str(top)], start_new_session=True) as process:
        try:
            _wait_for(port)
            yield f"git://127.0.0.1:{port}/r.git"
        finally:
            process.terminate()
    assert not (place / "evil").exists()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("git daemon does not listen")


def test_a_repository_is_a_context(scratch: Scratch, repository: str) -> None:
    context = from_address(repository)(means(scratch), "")
    assert context.dockerfile == b"FROM a\n"
    assert (context.root / "run").stat().st_mode & 0o777 == 0o755
    assert (context.root / "link").readlink() == Path("sub/Dockerfile")
    assert not (context.root / ".git").exists()
    for fragment, expected in {"v1": b"FROM a\n", "other": b"FROM other\n", "main:sub": b"FROM sub\n"}.items():
        context = from_address(f"{repository}#{fragment}")(means(scratch), "")
        assert context.dockerfile == expected


def test_a_repository_has_limits(scratch: Scratch, repository: str) -> None:
    with pytest.raises(InvalidParameter, match="more than the 2 allowed"):
        from_address(repository)(means(scratch, UnpackLimits(entries=2, bytes=10_000_000)), "")
    with pytest.raises(InvalidParameter, match="more files than the 100 allowed"):
        from_address(f"{repository}#bomb")(means(scratch), "")
    with pytest.raises(Unavailable, match="git fetch"):
        from_address(f"{repository}#nosuch")(means(scratch), "")


def test_git_has_only_so_much_memory(scratch: Scratch, repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    large = git.parse(f"{repository}#large")
    assert git.Checkout(large, means(scratch)).commit
    monkeypatch.setattr(git, "_MEMORY", 16 << 20)
    assert git.Checkout(git.parse(repository), means(scratch)).commit
    with pytest.raises(Unavailable, match="git fetch"):
        git.Checkout(large, means(scratch))


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc",
        "ext::sh -c 'touch /tmp/evil' x.git",
        "--upload-pack=touch.git",
        "https://h/r.git#--upload-pack=x",
        "https://h/r.git#a..b",
        "https://h/r.git#main:../../etc",
        "/srv/r.git",
    ],
)
def test_an_address_that_would_do_more_than_fetch_is_refused(address: str) -> None:
    with pytest.raises(InvalidParameter):
        git.parse(address)


def test_an_archive_of_a_repository_is_the_same_each_time(scratch: Scratch, repository: str) -> None:
    digests = set()
    for _ in range(2):
        checkout = git.Checkout(git.parse(repository), means(scratch))
        digests.add(hashlib.sha256(b"".join(checkout.archive())).hexdigest())
        write_archive(checkout.archive(), scratch.directory("x"), limits=LIMITS, what="it")
    assert len(digests) == 1
