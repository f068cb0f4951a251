"""Pushing to a real registry that misbehaves: what is there is not sent, what broke goes on, nothing is false."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from engine.errors import Cancelled, DigestMismatch, Forbidden, InvalidParameter, NotFound, Unauthorized, Unavailable
from engine.images.model import LayerProgress, Message, Pushed, PushPhase
from engine.registry import media
from engine.registry.auth import RegistryAuth
from engine.registry.reach import PublicReach
from engine.registry.reference import Reference
from engine.types import Digest
from tests.fixtures.image_archives import docker_archive
from tests.fixtures.image_host import REPOSITORY, Host
from tests.fixtures.image_maker import LayerBlob, MadeImage, put_image
from tests.fixtures.processes import wait_until
from tests.fixtures.registry_server import Account, Hang, RegistryServer, Status, WrongDigest
from tests.fixtures.registry_uploads import Cut, Deaf, Forget
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

BASE = LayerBlob.gzip(tar_of({"base": b"base\n", "etc/noise": os.urandom(900_000)}))
MIDDLE = LayerBlob.zstd(tar_of({"middle": b"middle\n"}))
TOP = LayerBlob.plain(tar_of({"top": b"top\n"}))
ADA = RegistryAuth(username="ada", password="secret")


@pytest.fixture
def made(host: Host) -> MadeImage:
    """An image that was pulled from some other registry and is here as `here:1`."""
    with RegistryServer() as other:
        made = put_image(other, REPOSITORY, [BASE, MIDDLE, TOP])
        host.pull(other)
    host.images.tag(made.id, Reference.parse("here:1"))
    host.seen.clear()
    return made


def target(host: Host, registry: RegistryServer, name: str = "x/y", *, tag: str = "1") -> Reference:
    reference = Reference.parse(f"{registry.address}/{name}:{tag}")
    host.images.tag("here:1", reference)
    return reference


def peers(registry: RegistryServer) -> frozenset[tuple[str, int]]:
    """The registry alone, as one that an administrator has entered."""
    name, _, port = registry.address.partition(":")
    return frozenset({(name, int(port))})


def push(host: Host, reference: Reference, **options: object) -> list[Pushed]:
    return list(host.images.push(reference, progress=host.seen.append, **options))  # type: ignore[arg-type]


def test_it_arrives_byte_for_byte(registry: RegistryServer, host: Host, made: MadeImage, tmp_path: Path) -> None:
    reference = target(host, registry)
    [pushed] = push(host, reference)
    assert pushed == Pushed(tag="1", digest=Digest(made.manifest), size=len(made.manifest_data))
    assert registry.manifest("x/y", "1") == (made.media_type, made.manifest_data)
    assert all(registry.blob("x/y", layer.digest) == layer.blob for layer in made.layers)
    assert host.images.get(f"{registry.address}/x/y@{made.manifest}").id == made.id
    assert host.seen[0] == Message(text=f"The push refers to repository [{registry.address}/x/y]")
    assert host.seen[-2:] == [
        Message(text=f"1: digest: {made.manifest} size: {len(made.manifest_data)}"),
        pushed,
    ]
    layers = [each for each in host.seen if isinstance(each, LayerProgress)]
    assert [each.layer for each in layers[:3]] == [layer.diff_id[7:19] for layer in reversed(made.layers)]
    for layer in made.layers:
        phases = [each.phase for each in layers if each.layer == layer.diff_id[7:19]]
        assert (phases[0], phases[-1]) == (PushPhase.PREPARING, PushPhase.PUSHED)
    assert host.events.past()[-1].action == "push"
    # The blobs come before the manifest that names them.
    writes = [request.path for request in registry.requests if request.method == "PUT"]
    assert "/manifests/" in writes[-1]
    again = Host.at(tmp_path / "again")
    assert again.images.pull(reference, progress=again.seen.append).manifest == made.manifest
    again.database.close()


def test_what_is_there_is_not_sent_again(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    reference = target(host, registry)
    push(host, reference)
    registry.heal()
    host.seen.clear()
    push(host, reference)
    assert not [request for request in registry.requests if request.method in ("POST", "PATCH")]
    ended = {each.layer: each.phase for each in host.seen if isinstance(each, LayerProgress)}
    assert set(ended.values()) == {PushPhase.EXISTS}


def test_layers_of_another_repository_are_mounted(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    push(host, target(host, registry, "first/one"))
    registry.heal()
    push(host, target(host, registry, "second/one"))
    mounted = [each for each in host.seen if isinstance(each, LayerProgress) and each.phase is PushPhase.MOUNTED]
    assert {each.detail for each in mounted} == {"first/one"}
    assert len(mounted) == 3
    # Only the config, which is small, is sent.
    assert registry.count("/manifests/") == 1
    assert len([request for request in registry.requests if request.method == "PATCH"]) == 1
    assert all(registry.blob("second/one", layer.digest) == layer.blob for layer in made.layers)


def test_a_mount_that_is_refused_becomes_an_upload(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    push(host, target(host, registry, "first/one"))
    registry._blobs.clear()  # it has lost what it had
    push(host, target(host, registry, "second/one"))
    assert all(registry.blob("second/one", layer.digest) == layer.blob for layer in made.layers)


def test_all_tags(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    reference = target(host, registry, tag="1")
    target(host, registry, tag="2")
    assert [each.tag for each in push(host, reference, all_tags=True)] == ["1", "2"]
    assert registry.manifest("x/y", "1") == registry.manifest("x/y", "2")


def test_an_image_of_ones_own_gets_a_manifest(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    """Docker's schema 2 where it has words for the layers; the same image always gets the same one."""
    _, archive = archive_of([BASE, TOP])
    host.load(archive)
    host.images.tag("loaded:1", Reference.parse("here:1"))
    reference = target(host, registry)
    [first] = push(host, reference)
    media_type, data = registry.manifest("x/y", "1") or ("", b"")
    assert media_type == media.DOCKER_MANIFEST
    manifest = media.parse_document(data, media_type)
    assert isinstance(manifest, media.Manifest)
    kinds = [layer.media_type.rpartition(".")[2] for layer in manifest.layers]
    assert kinds == ["gzip", "tar"], "a layer that came uncompressed by a pull stays so"
    assert push(host, reference) == [first]


def archive_of(layers: list[LayerBlob]) -> tuple[str, bytes]:
    return docker_archive(layers, tags=["loaded:1"])


@pytest.mark.parametrize("after", [0, 1, 300_000])
def test_an_upload_goes_on_where_it_was_cut(registry: RegistryServer, host: Host, after: int) -> None:
    with RegistryServer() as other:
        host.images.tag(host_image(host, other, BASE), Reference.parse("here:1"))
    registry.fault("PATCH /v2/x/y/blobs/uploads/", Cut(after=after), times=1)
    push(host, target(host, registry))
    assert registry.blob("x/y", BASE.digest) == BASE.blob
    resumed = [request.headers.get("content-range") for request in registry.requests if request.method == "PATCH"]
    # Only what was missing is sent again; "0-0" may be a byte or none, and then all is.
    assert resumed == [None, f"{after}-{len(BASE.blob) - 1}" if after > 1 else None, None]


def host_image(host: Host, registry: RegistryServer, *layers: LayerBlob) -> str:
    put_image(registry, REPOSITORY, layers)
    return host.pull(registry).image


@pytest.mark.parametrize("where", ["PATCH", "PUT"])
def test_an_answer_that_is_lost(registry: RegistryServer, host: Host, made: MadeImage, where: str) -> None:
    registry.fault(f"{where} /v2/x/y/blobs/uploads/", Deaf(), times=1)
    push(host, target(host, registry))
    assert all(registry.blob("x/y", layer.digest) == layer.blob for layer in made.layers)


def test_a_session_that_is_forgotten_begins_anew(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    registry.fault("PATCH /v2/x/y/blobs/uploads/", Cut(after=5), times=1)
    registry.fault("/v2/x/y/blobs/uploads/session", Forget(), times=1)
    push(host, target(host, registry))
    assert all(registry.blob("x/y", layer.digest) == layer.blob for layer in made.layers)


def test_an_upload_that_always_breaks_ends(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    registry.fault("PATCH /v2/x/y/blobs/uploads/", Cut(after=0))
    with pytest.raises(Unavailable, match="broke off"):
        push(host, target(host, registry))
    assert registry.manifest("x/y", "1") is None
    with pytest.raises(Exception, match="No such image"):
        host.images.get(f"{registry.address}/x/y@{made.manifest}")


def test_passing_failures_are_tried_again(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    registry.fault("PATCH /v2/x/y/blobs/uploads/", Status(503), times=1)
    registry.fault("PUT /v2/x/y/manifests/", Status(502), times=1)
    push(host, target(host, registry))
    assert registry.manifest("x/y", "1") == (made.media_type, made.manifest_data)


def test_a_registry_that_stores_something_else(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    registry.fault("PUT /v2/x/y/manifests/", WrongDigest(digest="sha256:" + "1" * 64))
    with pytest.raises(DigestMismatch, match="instead of"):
        push(host, target(host, registry))


def test_refusals_in_dockers_words(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    registry.fault("POST /v2/x/y/", Status(403, "DENIED", "requested access to the resource is denied"))
    with pytest.raises(Unauthorized, match=r"^denied: requested access to the resource is denied$"):
        push(host, target(host, registry))
    registry.heal()
    registry.fault("PUT /v2/x/y/manifests/", Status(400, "MANIFEST_INVALID", "manifest invalid"))
    with pytest.raises(InvalidParameter, match="refused: manifest invalid"):
        push(host, target(host, registry))
    with pytest.raises(NotFound, match=f"^An image does not exist locally with the tag: {registry.address}/no$"):
        push(host, Reference.parse(f"{registry.address}/no:1"))


@pytest.mark.parametrize("token", [True, False])
def test_credentials(host: Host, made: MadeImage, token: bool) -> None:
    with RegistryServer(Account("ada", "secret", token=token)) as registry:
        with pytest.raises(Unauthorized):
            push(host, target(host, registry))
        push(host, target(host, registry), auth=ADA)
        assert registry.manifest("x/y", "1") == (made.media_type, made.manifest_data)
        push(host, target(host, registry, "z"), auth=ADA)
        scopes = [request.query["scope"] for request in registry.requests if request.path == "/token"]
        if token:
            assert scopes[-1] == ["repository:z:pull,push", "repository:x/y:pull"]


def test_a_token_that_expires_in_the_middle(host: Host, made: MadeImage) -> None:
    with RegistryServer(Account("ada", "secret")) as registry:
        challenge = f'Bearer realm="http://{registry.address}/token",service="s"'
        expired = Status(401, "UNAUTHORIZED", "expired", headers={"WWW-Authenticate": challenge})
        registry.fault("PATCH ", expired, times=1)
        [pushed] = push(host, target(host, registry), auth=ADA)
        assert pushed.digest == made.manifest
        assert all(registry.blob("x/y", layer.digest) == layer.blob for layer in made.layers)
        assert registry.count("/token") == 2


def test_an_upload_address_elsewhere_gets_no_credentials(host: Host, made: MadeImage) -> None:
    with RegistryServer(Account("ada", "secret", token=False)) as registry, RegistryServer() as storage:
        reference = target(host, registry)
        moved = {"Location": f"http://{storage.address}/v2/x/y/blobs/uploads/{storage.sessions.begin()}"}
        registry.fault("POST /v2/x/y/blobs/uploads/", Status(202, headers=moved), times=1)
        push(host, reference, auth=ADA)
        assert [request.method for request in storage.requests] == ["PATCH", "PUT"]
        assert not any("authorization" in request.headers for request in storage.requests)


def test_a_push_that_is_held_to_public_addresses(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    reference = target(host, registry)
    with pytest.raises(Forbidden, match=r"127\.0\.0\.1 is no public address"):
        push(host, reference, reach=PublicReach())
    assert registry.requests == []


def test_an_upload_address_that_is_not_public(host: Host, made: MadeImage) -> None:
    """The registry may be reached, and names an inner address for its uploads."""
    with RegistryServer() as registry, RegistryServer() as inner:
        reference = target(host, registry)
        registry.fault(
            "POST /v2/x/y/blobs/uploads/", Status(202, headers={"Location": f"http://{inner.address}/v2/x/y"})
        )
        with pytest.raises(Forbidden, match="is no public address"):
            push(host, reference, reach=PublicReach().trusting(peers(registry)))
    assert inner.requests == []


def test_a_push_is_cancelled(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    registry.fault("/v2/x/y/", Hang())
    cancel = threading.Event()
    caught: list[BaseException] = []

    def run() -> None:
        try:
            push(host, target(host, registry), cancel=cancel)
        except Cancelled as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: registry.requests)
    cancel.set()
    thread.join(5)
    assert [str(error) for error in caught] == [f"push of {registry.address}/x/y:1 cancelled"]
    wait_until(lambda: not [each for each in threading.enumerate() if each.name.startswith("push")])


def test_an_image_that_is_pushed_cannot_be_removed(registry: RegistryServer, host: Host, made: MadeImage) -> None:
    """Its blobs stay until the push has ended."""
    registry.fault("/v2/x/y/", Hang())
    reference, cancel = target(host, registry), threading.Event()

    def run() -> None:
        with pytest.raises(Cancelled):
            push(host, reference, cancel=cancel)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: registry.requests)
    with pytest.raises(Exception, match="is being pulled"):
        host.images.remove(made.id, force=True, in_use=lambda _: ())
    cancel.set()
    thread.join(5)
    host.images.remove(made.id, force=True, in_use=lambda _: ())
    assert host.traces() == []


def test_pushed_to_a_real_registry_and_read_by_skopeo(host: Host, made: MadeImage, tmp_path: Path) -> None:
    from tests.fixtures.registry import Registry

    with Registry(tmp_path / "storage") as registry:
        reference = Reference.parse(f"{registry.address}/deep/er/name:1")
        host.images.tag("here:1", reference)
        [pushed] = push(host, reference)
        host.images.tag("here:1", other := Reference.parse(f"{registry.address}/other:1"))
        push(host, other)
        mounted = [each for each in host.seen if isinstance(each, LayerProgress) and each.phase is PushPhase.MOUNTED]
        assert len(mounted) == 3
        for name in (reference, other):
            copy = tmp_path / name.path.replace("/", "-")
            command = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--preserve-digests"]
            subprocess.run([*command, f"docker://{name}", f"dir:{copy}"], check=True, timeout=60)
            assert Digest.of((copy / "manifest.json").read_bytes()) == pushed.digest == made.manifest
