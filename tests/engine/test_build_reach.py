"""Builds that may fetch from public addresses only: what a name means, where redirects lead, what git does."""

from __future__ import annotations

import http.server
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from engine.build import downloads
from engine.build.context import from_address
from engine.build.git_reach import pinned
from engine.build.means import Means
from engine.build.options import BuildOptions
from engine.build.scratch import Scratch, Scratches
from engine.engine import Engine
from engine.errors import Cancelled, Forbidden, InvalidParameter, Unavailable
from engine.registry import web as web_files
from engine.registry.reach import PublicReach
from engine.snapshots.helper import UnpackLimits
from tests.conftest import needs_root, scratch_directory
from tests.fixtures.builds import Told, build
from tests.fixtures.image_maker import LayerBlob, put_image
from tests.fixtures.registry_server import RegistryServer
from tests.fixtures.web import served

PUBLIC = PublicReach()
BESIDE = PublicReach(networks=(ip_network("127.0.0.2/32"),))
"""127.0.0.2 stands for a public address here, 127.0.0.1 for the host's own."""
LIMITS = UnpackLimits(entries=100, bytes=10_000_000)


@pytest.fixture
def place() -> Iterator[Path]:
    needs_root()
    with scratch_directory() as directory:
        directory.chmod(0o711)
        yield directory


def says(text: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(text)

    return answer


def turns(location: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.end_headers()

    return answer


def names(monkeypatch: pytest.MonkeyPatch, **known: list[str]) -> None:
    """Let names with `_` for their dots mean these addresses, the next at each look-up."""
    usual = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        found = known.get(str(host).replace(".", "_"))
        return usual(found.pop(0) if found else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def fetched(place: Path, address: str, reach: PublicReach) -> bytes:
    found = downloads.fetch(address, place / "file", limit=1000, check=lambda: None, reach=reach)
    return found.path.read_bytes()


@pytest.mark.parametrize(
    "address",
    [
        *("http://127.0.0.1:{}/", "http://localhost:{}/", "http://[::ffff:127.0.0.1]:{}/", "http://0x7f000001:{}/"),
        *("http://2130706433:{}/", "http://0:{}/", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/"),
        *(
            "http://192.168.1.1/",
            "http://[::1]/",
            "http://[fe80::1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://100.64.0.1/",
        ),
    ],
)
def test_what_is_not_public_is_refused(place: Path, address: str) -> None:
    with served(says(b"inner")) as port, pytest.raises(Forbidden, match="is no public address"):
        fetched(place, address.format(port), PUBLIC)
    assert list(place.iterdir()) == []


def test_an_address_of_the_host_itself_is_not_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is: packets to it come from it."""
    monkeypatch.setattr("ipaddress.IPv4Address.is_global", True)
    with pytest.raises(Forbidden):
        PUBLIC.addresses("127.0.0.1", 80)


def test_redirects_are_judged_as_well(place: Path) -> None:
    with (
        served(says(b"inner")) as inner,
        served(turns(f"http://127.0.0.1:{inner}/"), address="127.0.0.2") as port,
        pytest.raises(Forbidden, match=r"^127\.0\.0\.1 is no public address"),
    ):
        fetched(place, f"http://127.0.0.2:{port}/", BESIDE)


def test_the_connection_goes_where_the_name_led_when_it_was_judged(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second look-up would give the host's own address."""
    with served(says(b"outer"), address="127.0.0.2") as port, socket.create_server(("127.0.0.1", port)):
        names(monkeypatch, twice_test=["127.0.0.2", "127.0.0.1"])
        assert fetched(place, f"http://twice.test:{port}/", BESIDE) == b"outer"


def test_one_address_that_is_not_public_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = socket.getaddrinfo
    both = lambda *_, **options: [*usual("8.8.8.8", 80, **options), *usual("10.0.0.1", 80, **options)]  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(Forbidden, match=r"both\.test \(10\.0\.0\.1\)"):
        PUBLIC.addresses("both.test", 80)


def test_a_proxy_is_not_asked_for_what_is_not_public(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        says(b"by proxy")(handler)

    with served(answer) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(Forbidden):
            fetched(place, "http://10.0.0.1/", PUBLIC)
        assert asked == []
        assert fetched(place, "http://only-the-proxy-knows.invalid/x", PUBLIC) == b"by proxy"
    assert asked == ["http://only-the-proxy-knows.invalid/x"]


def test_an_answer_must_begin_in_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that drips in keeps every single wait short."""
    monkeypatch.setattr(web_files, "_HEADS", 0.4)
    ended = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        try:
            while not ended.wait(0.05):
                handler.wfile.write(b"X")
        except OSError:
            return

    with served(answer) as port:
        try:
            with pytest.raises(Unavailable, match=r"no answer began within"):
                downloads.fetch(f"http://127.0.0.1:{port}/", place / "a", limit=9, check=lambda: None)
        finally:
            ended.set()


def test_a_silent_server_does_not_keep_a_build_from_stopping(place: Path) -> None:
    cancel = threading.Event()

    def check() -> None:
        if cancel.is_set():
            raise Cancelled("enough")

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        cancel.set()
        handler.rfile.read(1)  # until the client has gone

    with served(answer) as port, pytest.raises(Cancelled, match="enough"):
        downloads.fetch(f"http://127.0.0.1:{port}/", place / "a", limit=9, check=check)


# --- git


@pytest.fixture
def scratch(place: Path) -> Iterator[Scratch]:
    scratches = Scratches(files=place / "files", bundles=place / "bundles", repositories=place / "repositories")
    with scratches.opened() as scratch:
        yield scratch


@pytest.fixture
def repository(place: Path) -> Path:
    """A bare repository as plain files, which any web server can serve."""
    bare, work = place / "served/r.git", place / "work"

    def run(*arguments: str) -> None:
        names = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *names, *arguments], check=True, capture_output=True)

    run("init", "--quiet", str(work))
    (work / "Dockerfile").write_text("FROM a\n")
    run("-C", str(work), "add", ".")
    run("-C", str(work), "commit", "--quiet", "--message=one")
    run("clone", "--quiet", "--bare", str(work), str(bare))
    run("-C", str(bare), "update-server-info")
    return bare.parent


def serves(directory: Path) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        file = directory / handler.path.partition("?")[0].lstrip("/")
        if file.is_file():
            says(file.read_bytes())(handler)
        else:
            handler.send_error(404)

    return answer


def test_git_goes_where_the_name_led_when_it_was_judged(
    scratch: Scratch, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this process knows what the name means: git was told."""
    means = Means(scratch=scratch, limits=LIMITS, check=lambda: None, reach=BESIDE)
    with served(serves(repository), address="127.0.0.2") as port:
        names(monkeypatch, pinned_test=["127.0.0.2"])
        context = from_address(f"http://pinned.test:{port}/r.git")(means, "")
    assert context.dockerfile == b"FROM a\n"


def test_git_follows_no_redirect(scratch: Scratch, repository: Path) -> None:
    means = Means(scratch=scratch, limits=LIMITS, check=lambda: None, reach=BESIDE)
    asked: list[str] = []
    usual = serves(repository)

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        usual(handler)

    with served(answer) as inner, served(turns(f"http://127.0.0.1:{inner}/r.git"), address="127.0.0.2") as port:
        with pytest.raises(Unavailable, match="git fetch"):
            from_address(f"http://127.0.0.2:{port}/r.git")(means, "")
    assert asked == []


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("git://example.com/r.git", Forbidden),
        ("ssh://git@example.com/r.git", Forbidden),
        ("git@example.com:r.git", Forbidden),
        ("http://127.0.0.1/r.git", Forbidden),
        ("http://user:word@localhost/r.git", Forbidden),
        ("http://[::1]/r.git", Forbidden),
        ("http://0x7f.1/r.git", Forbidden),
        (r"http://8.8.8.8\@127.0.0.1/r.git", InvalidParameter),
        (r"http://8.8.8.8:80\@127.0.0.1/r.git", InvalidParameter),
        ("http://a@b@127.0.0.1/r.git", InvalidParameter),
        ("http://8.8.8.8./r.git", InvalidParameter),
        ("http://134744072/r.git", InvalidParameter),
        ("http://8.8.8.8:0/r.git", InvalidParameter),
        ("http://8.8.8.8:99999/r.git", InvalidParameter),
    ],
)
def test_git_is_given_plain_and_public_addresses_only(address: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        pinned(address, PUBLIC)


# --- builds


def test_a_build_reaches_public_addresses_only(engine: Engine) -> None:
    build(engine, "FROM box\nRUN true\n", public_only=True)
    with served(says(b"FROM box\n")) as port:
        url = f"http://localhost:{port}/x"
        build(engine, f"FROM box\nADD {url} /\n")
        with pytest.raises(Forbidden, match=r"ADD failed: localhost \(.*\) is no public address"):
            build(engine, f"FROM box\nADD {url} /\n", public_only=True)
        told = Told()
        options = BuildOptions(public_only=True)
        with pytest.raises(Forbidden, match="failed to download remote: localhost"):
            engine.builds.build(options, source=from_address(url), tell=told, cancel=told.cancel)


def test_a_base_comes_from_a_public_registry_or_a_known_one(engine: Engine) -> None:
    with RegistryServer() as registry:
        put_image(registry, "base", [LayerBlob.gzip(b"\0" * 1024)])
        name = f"{registry.address}/base:latest"
        for dockerfile in (f"FROM {name}\n", f"FROM box\nCOPY --from={name} / /x/\n"):
            with pytest.raises(Forbidden, match="is no public address"):
                build(engine, dockerfile, public_only=True)
        build(engine, f"FROM {name}\n", public_only=True, registries=frozenset({registry.address}))
        build(engine, f"FROM {name}\n", public_only=True)  # it is here now
