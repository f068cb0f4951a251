"""The registry client against a real server that misbehaves."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import (
    Cancelled,
    DigestMismatch,
    EngineError,
    InvalidParameter,
    ManifestUnknown,
    Unauthorized,
    Unavailable,
)
from engine.registry.auth import RegistryAuth
from engine.registry.client import CHUNK, RegistryClient
from engine.registry.hosts import RegistryHosts
from engine.registry.media import MANIFEST_LIMIT, OCI_MANIFEST, Descriptor, Manifest
from engine.registry.patience import Patience
from engine.registry.reference import Reference
from engine.types import Digest
from tests.fixtures.image_maker import LayerBlob, MadeImage, put_image
from tests.fixtures.processes import wait_until
from tests.fixtures.registry_server import (
    Account,
    Corrupt,
    Drip,
    Hang,
    NoRanges,
    Redirect,
    RegistryServer,
    Replace,
    Shorten,
    Slow,
    Status,
    Truncate,
)
from tests.fixtures.tars import tar_of

REPOSITORY = "team/app"
QUICK = Patience(connect=2.0, read=2.0, attempts=3, first_pause=0.01)
DATA = bytes(range(256)) * 8192


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def image(registry: RegistryServer) -> MadeImage:
    return put_image(registry, REPOSITORY, [LayerBlob.gzip(tar_of({"a": b"1"}))])


def client_of(
    registry: RegistryServer | str,
    *,
    auth: RegistryAuth | None = None,
    hosts: RegistryHosts | None = None,
    patience: Patience = QUICK,
) -> RegistryClient:
    address = registry if isinstance(registry, str) else registry.address
    reference = Reference.parse(f"{address}/{REPOSITORY}:latest")
    return RegistryClient(reference, hosts=hosts or RegistryHosts(), auth=auth, patience=patience)


def blob_of(registry: RegistryServer, data: bytes = DATA) -> Descriptor:
    digest = Digest(registry.add_blob(REPOSITORY, data))
    return Descriptor(media_type="application/octet-stream", digest=digest, size=len(data))


def test_manifest_by_tag_and_by_digest(registry: RegistryServer, image: MadeImage) -> None:
    with client_of(registry) as client:
        by_tag = client.manifest("latest")
        by_digest = client.manifest(image.manifest)
    assert by_tag == by_digest
    assert by_tag.digest == image.manifest
    assert by_tag.data == image.manifest_data
    assert isinstance(by_tag.document, Manifest)
    assert by_tag.document.config.digest == image.id


def test_a_blob_comes_in_chunks(registry: RegistryServer) -> None:
    descriptor = blob_of(registry)
    with client_of(registry) as client:
        chunks = list(client.blob(descriptor))
    assert b"".join(chunks) == DATA
    assert max(map(len, chunks)) <= CHUNK


def test_an_empty_blob(registry: RegistryServer) -> None:
    with client_of(registry) as client:
        assert list(client.blob(blob_of(registry, b""))) == []


def test_unknown_names_in_dockers_words(registry: RegistryServer) -> None:
    with client_of(registry) as client, pytest.raises(ManifestUnknown) as caught:
        client.manifest("latest")
    assert str(caught.value) == (
        f"manifest for {registry.address}/{REPOSITORY}:latest not found: manifest unknown: manifest unknown"
    )
    registry.fault("/manifests/", Status(404, "NAME_UNKNOWN", "repository name not known to registry"))
    with client_of(registry) as client, pytest.raises(ManifestUnknown) as caught:
        client.manifest("latest")
    assert str(caught.value) == (
        f"repository {registry.address}/{REPOSITORY} not found: name unknown: repository name not known to registry"
    )


def test_denied_in_dockers_words(registry: RegistryServer) -> None:
    registry.fault("/manifests/", Status(403, "DENIED", "requested access to the resource is denied"))
    with client_of(registry) as client, pytest.raises(ManifestUnknown) as caught:
        client.manifest("latest")
    assert str(caught.value) == (
        f"pull access denied for {registry.address}/{REPOSITORY}, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied"
    )


def test_the_registrys_words_cannot_harm_a_terminal(registry: RegistryServer) -> None:
    registry.fault("/manifests/", Status(400, "BAD", "\x1b[2Jno\nway"))
    with client_of(registry) as client, pytest.raises(InvalidParameter, match=r"bad: \[2Jnoway$"):
        client.manifest("latest")


def test_a_wrong_manifest_is_refused(registry: RegistryServer, image: MadeImage) -> None:
    other = put_image(registry, REPOSITORY, [], tag="other")
    registry.fault("/manifests/", Replace(other.manifest_data), times=2)
    with client_of(registry) as client:
        for asked in (image.manifest, "latest"):
            with pytest.raises(DigestMismatch, match="manifest verification failed for digest"):
                client.manifest(asked)
        assert client.manifest(image.manifest).digest == image.manifest


def test_a_huge_manifest_is_refused(registry: RegistryServer) -> None:
    registry.add_manifest(REPOSITORY, b" " * (MANIFEST_LIMIT + 1), OCI_MANIFEST, tag="latest")
    with client_of(registry) as client, pytest.raises(InvalidParameter, match="more than the 4194304 bytes allowed"):
        client.manifest("latest")


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_passing_failures_are_tried_again(registry: RegistryServer, image: MadeImage, status: int) -> None:
    registry.fault("/manifests/", Status(status), times=2)
    with client_of(registry) as client:
        assert client.manifest("latest").digest == image.manifest
    assert registry.count("/manifests/") == 3


def test_lasting_failures_end(registry: RegistryServer) -> None:
    registry.fault("/manifests/", Status(503, "UNAVAILABLE", "down for maintenance"))
    with client_of(registry) as client, pytest.raises(Unavailable, match="unavailable: down for maintenance"):
        client.manifest("latest")
    assert registry.count("/manifests/") == QUICK.attempts


def test_retry_after_is_obeyed_within_reason(registry: RegistryServer, image: MadeImage) -> None:
    registry.fault("/manifests/", Status(429, headers={"Retry-After": "3600"}), times=1)
    patience = Patience(attempts=2, first_pause=0.01, longest_pause=0.2)
    start = time.monotonic()
    with client_of(registry, patience=patience) as client:
        client.manifest("latest")
    assert 0.2 <= time.monotonic() - start < 60


def test_an_unreachable_registry_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        start = time.monotonic()
        with client_of(address, patience=Patience()) as client, pytest.raises(Unavailable) as caught:
            client.manifest("latest")
    assert str(caught.value) == f"cannot reach registry {address}: Connection refused"
    assert time.monotonic() - start < 3


def test_a_name_that_nobody_knows() -> None:
    with client_of("registry.invalid") as client, pytest.raises(Unavailable, match=r"registry registry\.invalid: "):
        client.manifest("latest")


def test_a_silent_registry_is_left(registry: RegistryServer) -> None:
    registry.fault("/manifests/", Hang())
    patience = Patience(connect=1.0, read=0.2, attempts=2, first_pause=0.01)
    with client_of(registry, patience=patience) as client, pytest.raises(Unavailable, match="cannot reach registry"):
        client.manifest("latest")


def test_a_broken_download_is_resumed(registry: RegistryServer) -> None:
    descriptor = blob_of(registry)
    registry.fault("/blobs/", Truncate(after=CHUNK + 1000), times=1)
    registry.fault("/blobs/", Truncate(after=10), times=1)
    with client_of(registry) as client:
        assert b"".join(client.blob(descriptor)) == DATA
    ranges = [request.headers.get("range", "") for request in registry.requests if "/blobs/" in request.path]
    assert len(ranges) == 3
    assert ranges[0] == ""
    assert ranges[1].startswith("bytes=")


def test_a_broken_download_is_resumed_without_ranges(registry: RegistryServer) -> None:
    descriptor = blob_of(registry)
    registry.fault("/blobs/", Truncate(after=CHUNK + 1000), times=1)
    registry.fault("/blobs/", NoRanges(), times=1)
    with client_of(registry) as client:
        assert b"".join(client.blob(descriptor)) == DATA
    assert registry.count("/blobs/") == 2


def test_a_download_that_always_breaks_ends(registry: RegistryServer) -> None:
    descriptor = blob_of(registry)
    registry.fault("/blobs/", Truncate(after=0))
    with client_of(registry) as client, pytest.raises(Unavailable, match=r"ended after 0 of 2097152 bytes"):
        list(client.blob(descriptor))


def test_blobs_of_the_wrong_length(registry: RegistryServer) -> None:
    descriptor = blob_of(registry)
    registry.fault("/blobs/", Shorten(to=1000), times=1)
    registry.fault("/blobs/", Replace(DATA + b"!"), times=1)
    with client_of(registry) as client:
        with pytest.raises(DigestMismatch, match="ended after 1000 of 2097152 bytes"):
            list(client.blob(descriptor))
        with pytest.raises(DigestMismatch, match="is longer than the 2097152 bytes"):
            list(client.blob(descriptor))


def test_a_config_is_verified_and_limited(registry: RegistryServer) -> None:
    descriptor = blob_of(registry)
    registry.fault("/blobs/", Corrupt(), times=1)
    with client_of(registry) as client:
        with pytest.raises(DigestMismatch, match="image config verification failed"):
            client.read_blob(descriptor)
        assert client.read_blob(descriptor) == DATA
        huge = Descriptor(media_type="", digest=descriptor.digest, size=MANIFEST_LIMIT + 1)
        with pytest.raises(InvalidParameter, match="more than the 4194304 allowed"):
            client.read_blob(huge)


ADA = RegistryAuth(username="ada", password="secret")


def test_anonymous_tokens() -> None:
    with RegistryServer(Account(anonymous=True)) as registry:
        image = put_image(registry, REPOSITORY, [])
        with client_of(registry) as client:
            assert client.manifest("latest").digest == image.manifest
            assert client.manifest("latest").digest == image.manifest
        assert registry.count("/token") == 1
        token = next(request for request in registry.requests if request.path == "/token")
        assert token.query["scope"] == [f"repository:{REPOSITORY}:pull"]
        assert "authorization" not in token.headers


@pytest.mark.parametrize("token", [True, False])
def test_credentials(token: bool) -> None:
    with RegistryServer(Account("ada", "secret", token=token)) as registry:
        put_image(registry, REPOSITORY, [])
        with client_of(registry, auth=ADA) as client:
            client.manifest("latest")
        wrong = RegistryAuth(username="ada", password="wrong")
        with client_of(registry, auth=wrong) as client, pytest.raises(Unauthorized, match=r"^unauthorized: "):
            client.manifest("latest")
        with client_of(registry) as client, pytest.raises((Unauthorized, ManifestUnknown)) as caught:
            client.manifest("latest")
        assert ("pull access denied" if token else "no basic auth credentials") in str(caught.value)


def test_identity_and_registry_tokens() -> None:
    with RegistryServer(Account("ada", "refresh")) as registry:
        put_image(registry, REPOSITORY, [])
        with client_of(registry, auth=RegistryAuth(identity_token="refresh")) as client:
            client.manifest("latest")
        posted = next(request for request in registry.requests if request.method == "POST")
        assert b"grant_type=refresh_token" in posted.body
        registry.heal()
        with client_of(registry, auth=RegistryAuth(registry_token="an-opaque-token")) as client:
            client.manifest("latest")
        assert registry.count("/token") == 0
        with client_of(registry, auth=RegistryAuth(registry_token="old", identity_token="refresh")) as client:
            client.manifest("latest")


def test_credentials_do_not_go_to_a_realm_without_tls() -> None:
    account = Account("ada", "secret", realm="http://auth.example/token")
    with (
        RegistryServer(account) as registry,
        client_of(registry, auth=ADA) as client,
        pytest.raises(Unauthorized, match="not reached by TLS"),
    ):
        client.manifest("latest")


def test_authorization_is_dropped_by_a_redirect_to_another_host() -> None:
    with RegistryServer() as storage, RegistryServer(Account("ada", "secret")) as registry:
        descriptor = blob_of(registry)
        blob_of(storage)
        registry.fault("/blobs/", Redirect(f"http://{storage.address}"))
        with client_of(registry, auth=ADA) as client:
            put_image(registry, REPOSITORY, [])
            client.manifest("latest")
            assert b"".join(client.blob(descriptor)) == DATA
        assert storage.requests
        assert not any("authorization" in request.headers for request in storage.requests)


def test_redirects_end_somewhere(registry: RegistryServer) -> None:
    registry.fault("/manifests/", Redirect(f"http://{registry.address}"))
    with client_of(registry) as client, pytest.raises(Unavailable, match="redirects without end"):
        client.manifest("latest")


def test_a_redirect_to_another_scheme_is_refused(registry: RegistryServer) -> None:
    registry.fault("/manifests/", Redirect("file://localhost"))
    with client_of(registry) as client, pytest.raises(Unavailable, match=r"redirects to .*: refused"):
        client.manifest("latest")


def test_a_mirror_is_asked_first_and_gets_no_credentials() -> None:
    with RegistryServer(Account(anonymous=True)) as mirror:
        image = put_image(mirror, "library/debian", [])
        hosts = RegistryHosts(mirrors=("http://127.0.0.1:1", f"http://{mirror.address}"))
        reference = Reference.parse("debian")
        with RegistryClient(reference, hosts=hosts, auth=ADA, patience=QUICK) as client:
            assert client.manifest("latest").digest == image.manifest
        assert not any("Basic" in request.headers.get("authorization", "") for request in mirror.requests)


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("what", ["/manifests/", "/blobs/"])
def test_a_registry_that_drips_is_left(registry: RegistryServer, what: str, head: bool) -> None:
    """Each byte comes in time, but there are too few of them."""
    descriptor = blob_of(registry)
    registry.fault(what, Drip(seconds=0.02, head=head))
    patience = Patience(connect=0.5, read=0.25, attempts=1, slow_for=0.4)
    with client_of(registry, patience=patience) as client, pytest.raises(Unavailable, match=r"too slow|cannot reach"):
        client.manifest("latest") if what == "/manifests/" else list(client.blob(descriptor))


def test_a_token_server_that_drips_is_left() -> None:
    with RegistryServer(Account("ada", "secret")) as registry:
        registry.fault("/token", Drip(seconds=0.02))
        patience = Patience(connect=0.5, read=0.25, attempts=1, slow_for=0.4)
        with client_of(registry, patience=patience) as client, pytest.raises(Unavailable, match="too slow"):
            client.manifest("latest")


def test_tokens_that_never_suffice_end() -> None:
    """The registry takes none of its token server's tokens: it is asked twice, not for ever."""
    with RegistryServer(Account("ada", "secret")) as registry:
        put_image(registry, REPOSITORY, [])
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{registry.address}/token",service="x"'}
        registry.fault("/v2/", Status(401, "UNAUTHORIZED", "again", headers=challenge))
        with client_of(registry, auth=ADA) as client, pytest.raises(Unauthorized, match="again"):
            client.manifest("latest")
        assert registry.count("/token") <= 2
        assert registry.count("/manifests/") <= 3


def test_a_token_server_that_sends_elsewhere_is_not_followed() -> None:
    with RegistryServer() as other, RegistryServer(Account("ada", "secret")) as registry:
        registry.fault("/token", Redirect(f"http://{other.address}"))
        with client_of(registry, auth=ADA) as client, pytest.raises(EngineError):
            client.manifest("latest")
        assert other.requests == []


def test_realms_that_ask_for_a_token_themselves_end() -> None:
    with RegistryServer(Account("ada", "secret")) as registry:
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{registry.address}/token",service="x"'}
        registry.fault("/token", Status(401, "UNAUTHORIZED", "ask me first", headers=challenge))
        with client_of(registry, auth=ADA) as client, pytest.raises(Unauthorized, match="ask me first"):
            client.manifest("latest")
        assert registry.count("/token") == 1


def test_a_manifest_of_a_hundred_mebibytes_is_not_read(registry: RegistryServer) -> None:
    registry.add_manifest(REPOSITORY, b" " * (100 << 20), OCI_MANIFEST, tag="latest")
    tracemalloc.start()
    try:
        with (
            client_of(registry) as client,
            pytest.raises(InvalidParameter, match="more than the 4194304 bytes allowed"),
        ):
            client.manifest("latest")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_tags_come_in_pages(registry: RegistryServer) -> None:
    for number in range(7):
        put_image(registry, REPOSITORY, [], tag=f"v{number}")
    registry.page = 3
    with client_of(registry) as client:
        assert client.tags() == [f"v{number}" for number in range(7)]
    assert registry.count("/tags/list") == 3


def test_pages_of_tags_end_somewhere(registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.registry.client.TAG_LIMIT", 3000)
    put_image(registry, REPOSITORY, [])
    endless = {"Link": f'</v2/{REPOSITORY}/tags/list>; rel="next"', "Content-Type": "application/json"}
    registry.fault("/tags/list", Status(200, headers=endless))
    with client_of(registry) as client, pytest.raises(InvalidParameter):
        client.tags()


@pytest.mark.parametrize("body", [b"[]", b'{"tags": 5}', b'{"tags": [5]}', b"{", b"[" * 100_000])
def test_lists_of_tags_that_are_malformed(registry: RegistryServer, body: bytes) -> None:
    registry._blobs[REPOSITORY, "list"] = body
    registry.fault("/tags/list", Replace(body))
    with client_of(registry) as client, pytest.raises(InvalidParameter, match="malformed"):
        client.tags()


@pytest.mark.parametrize("fault", [Hang(), Slow(5.0)])
def test_abort_ends_a_wait_at_once(registry: RegistryServer, fault: Hang | Slow) -> None:
    descriptor = blob_of(registry)
    registry.fault("/blobs/", fault)
    caught: list[BaseException] = []

    def read(client: RegistryClient) -> None:
        try:
            list(client.blob(descriptor))
        except Cancelled as error:
            caught.append(error)

    with client_of(registry, patience=Patience()) as client:
        reader = threading.Thread(target=read, args=(client,))
        reader.start()
        wait_until(lambda: registry.count("/blobs/") == 1)
        client.abort()
        reader.join(4)
        assert caught
        with pytest.raises(Cancelled):
            client.manifest("latest")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, for 0.0.0.0: an address that reaches this host but is not loopback by name."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subject = ("-subj", "/CN=test", "-addext", "subjectAltName=IP:0.0.0.0")
    files = ("-keyout", key, "-out", certificate)
    subprocess.run(["openssl", "req", *kind, *subject, *files], check=True, capture_output=True)
    return certificate, key


def test_tls_is_verified_unless_the_registry_is_insecure(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with RegistryServer(certificate=certificate) as registry:
        image = put_image(registry, REPOSITORY, [])
        address = registry.address.replace("127.0.0.1", "0.0.0.0")
        with client_of(address) as client, pytest.raises(Unavailable, match="certificate verify failed"):
            client.manifest("latest")
        with client_of(address, hosts=RegistryHosts(insecure=(address,))) as client:
            assert client.manifest("latest").digest == image.manifest
        with client_of(registry) as client:
            assert client.manifest("latest").digest == image.manifest
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        with client_of(address) as client:
            assert client.manifest("latest").digest == image.manifest


def test_plain_http_is_for_insecure_registries_only(registry: RegistryServer, image: MadeImage) -> None:
    address = registry.address.replace("127.0.0.1", "0.0.0.0")
    with client_of(address) as client, pytest.raises(Unavailable, match="cannot reach registry"):
        client.manifest("latest")
    assert registry.requests == []
    with client_of(address, hosts=RegistryHosts(insecure=("0.0.0.0/32",))) as client:
        assert client.manifest("latest").digest == image.manifest


def test_the_environments_proxy_is_not_for_loopback(
    registry: RegistryServer, image: MadeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with client_of(registry) as client:
        assert client.manifest("latest").digest == image.manifest
    address = registry.address.replace("127.0.0.1", "0.0.0.0")
    with client_of(address, hosts=RegistryHosts(insecure=(address,))) as client, pytest.raises(Unavailable):
        client.manifest("latest")
