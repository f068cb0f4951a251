"""Pulling from a real registry that misbehaves, into real stores: all or nothing, and the next attempt works."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from engine.errors import (
    Cancelled,
    DigestMismatch,
    EngineError,
    Forbidden,
    ImageNotFound,
    InvalidParameter,
    ManifestUnknown,
    StorageFull,
    Unavailable,
)
from engine.images.model import LayerPhase, LayerProgress, Message
from engine.registry.auth import RegistryAuth
from engine.registry.reach import PublicReach
from engine.registry.reference import Reference
from engine.types import Digest, Platform
from tests.fixtures.image_host import REPOSITORY, Host
from tests.fixtures.image_maker import LayerBlob, MadeImage, put_image, put_index
from tests.fixtures.processes import wait_until
from tests.fixtures.registry_server import (
    Account,
    Corrupt,
    Halt,
    Hang,
    Redirect,
    RegistryServer,
    Shorten,
    Slow,
    Status,
    Truncate,
)
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

BASE = LayerBlob.gzip(tar_of({"base": b"base\n", "etc/noise": os.urandom(300_000)}))
MIDDLE = LayerBlob.zstd(tar_of({"middle": b"middle\n"}))
TOP = LayerBlob.plain(tar_of({"top": b"top\n"}))


def put(registry: RegistryServer, **options: object) -> MadeImage:
    return put_image(registry, REPOSITORY, [BASE, MIDDLE, TOP], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("oci", [True, False])
def test_an_image_comes_whole(registry: RegistryServer, host: Host, oci: bool) -> None:
    made = put_image(registry, REPOSITORY, [LayerBlob.gzip(BASE.tar, oci=oci)], oci=oci)
    result = host.pull(registry)
    assert (result.image, result.manifest, result.newer) == (made.id, made.manifest, True)
    image = host.images.get(f"{registry.address}/{REPOSITORY}")
    assert image.id == made.id
    assert image.tags == (f"{registry.address}/{REPOSITORY}:latest",)
    assert image.digests == (f"{registry.address}/{REPOSITORY}@{made.manifest}",)
    assert image.diff_ids == (BASE.diff_id,)
    assert (host.layers.diff(Digest(BASE.diff_id)) / "base").read_bytes() == b"base\n"
    assert host.content.digests() == {made.id, made.manifest, made.layers[0].digest}
    assert Digest.of(host.images.raw_config(image.id)) == image.id
    event = host.events.past()[-1]
    assert (event.kind, event.action, event.actor) == ("image", "pull", image.tags[0])
    assert event.attributes == {"maker": "test", "name": f"{registry.address}/{REPOSITORY}"}


def test_gzip_zstd_and_plain_layers_in_dockers_order_of_words(registry: RegistryServer, host: Host) -> None:
    made = put(registry)
    host.pull(registry)
    assert host.seen[0] == Message(text=f"Pulling from {REPOSITORY}", id="latest")
    assert host.seen[-2:] == [
        Message(text=f"Digest: {made.manifest}"),
        Message(text=f"Status: Downloaded newer image for {registry.address}/{REPOSITORY}:latest"),
    ]
    layers = [each for each in host.seen if isinstance(each, LayerProgress)]
    assert [each.layer for each in layers[:3]] == [layer.digest[7:19] for layer in made.layers]
    assert {each.phase for each in layers[:3]} == {LayerPhase.WAITING}
    for layer in made.layers:
        phases = [each.phase for each in layers if each.layer == layer.digest[7:19]]
        assert phases == sorted(phases, key=list(LayerPhase).index)
        assert phases[-1] is LayerPhase.COMPLETE
        assert LayerPhase.DOWNLOADED in phases
    image = host.images.get(made.id)
    assert image.size == sum(host.layers.size(diff_id) for diff_id in image.diff_ids)


def test_a_second_pull_fetches_the_manifest_only(registry: RegistryServer, host: Host) -> None:
    put(registry)
    host.pull(registry)
    registry.heal()
    host.seen.clear()
    result = host.pull(registry)
    assert not result.newer
    assert [request.path for request in registry.requests] == [f"/v2/{REPOSITORY}/manifests/latest"]
    assert host.seen[-1] == Message(text=f"Status: Image is up to date for {registry.address}/{REPOSITORY}:latest")


def test_shared_layers_are_fetched_once(registry: RegistryServer, host: Host) -> None:
    put_image(registry, REPOSITORY, [BASE], tag="base")
    put_image(registry, REPOSITORY, [BASE, TOP], tag="app")
    host.pull(registry, ":base")
    host.seen.clear()
    host.pull(registry, ":app")
    assert registry.count(BASE.digest) == 1
    assert LayerProgress(layer=BASE.digest[7:19], phase=LayerPhase.EXISTS) in host.seen


def test_a_layer_may_occur_twice(registry: RegistryServer, host: Host) -> None:
    made = put_image(registry, REPOSITORY, [BASE, TOP, BASE])
    host.pull(registry)
    image = host.images.get(made.id)
    assert image.diff_ids == (BASE.diff_id, TOP.diff_id, BASE.diff_id)
    assert image.size == host.layers.size(Digest(BASE.diff_id)) + host.layers.size(Digest(TOP.diff_id))


def test_concurrent_pulls_share_their_downloads(registry: RegistryServer, host: Host) -> None:
    put_image(registry, REPOSITORY, [BASE, TOP], tag="1")
    put_image(registry, REPOSITORY, [BASE, MIDDLE], tag="2")
    registry.fault(BASE.digest, Slow(0.05))
    failures: list[EngineError] = []

    def pull(tag: str) -> None:
        try:
            host.pull(registry, f":{tag}")
        except EngineError as error:
            failures.append(error)

    threads = [threading.Thread(target=pull, args=(tag,)) for tag in ("1", "2", "1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert registry.count(BASE.digest) == 1
    assert len(host.images.list()) == 2


def test_layers_come_side_by_side(registry: RegistryServer, host: Host) -> None:
    made = put(registry)
    for layer in made.layers:
        registry.fault(layer.digest, Hang())
    cancel = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pull = pool.submit(host.pull, registry, cancel=cancel)
        wait_until(lambda: all(registry.count(layer.digest) for layer in made.layers), seconds=20)
        cancel.set()
        with pytest.raises(Cancelled):
            pull.result(timeout=20)


@pytest.mark.parametrize("pack", [LayerBlob.gzip, LayerBlob.zstd])
def test_a_layer_is_unpacked_while_it_comes(
    registry: RegistryServer, host: Host, pack: Callable[[bytes], LayerBlob]
) -> None:
    layer = pack(tar_of({"first": b"here\n", "second": os.urandom(6_000_000)}))
    made = put_image(registry, REPOSITORY, [layer])
    goes_on = threading.Event()
    registry.fault(layer.digest, Halt(after=4_000_000, until=goes_on))
    with ThreadPoolExecutor(1) as pool:
        pull = pool.submit(host.pull, registry)
        try:
            wait_until(lambda: list((host.root / "layers").rglob("first")), seconds=20)
        finally:
            goes_on.set()
        assert pull.result(timeout=60).image == made.id


def test_a_token_that_expires_in_the_middle(host: Host) -> None:
    with RegistryServer(Account("ada", "secret")) as registry:
        made = put(registry)
        challenge = f'Bearer realm="http://{registry.address}/token",service="s"'
        expired = Status(401, "UNAUTHORIZED", "expired", headers={"WWW-Authenticate": challenge})
        registry.fault(BASE.digest, expired, times=1)
        assert host.pull(registry, auth=RegistryAuth(username="ada", password="secret")).image == made.id
        assert registry.count("/token") == 2


def test_an_index_gives_the_platforms_image(registry: RegistryServer, host: Host) -> None:
    amd = put_image(registry, REPOSITORY, [BASE], tag="amd")
    arm = put_image(registry, REPOSITORY, [TOP], tag="arm", config={"architecture": "arm64"})
    index = put_index(registry, REPOSITORY, {"linux/amd64": amd, "linux/arm64/v8": arm})
    result = host.pull(registry, platform=Platform(os="linux", architecture="arm64"))
    assert (result.image, result.manifest) == (arm.id, index)
    assert host.content.has(Digest(index))
    assert host.pull(registry, platform=Platform(os="linux", architecture="amd64")).image == amd.id
    assert host.images.get(f"{registry.address}/{REPOSITORY}").id == amd.id
    assert host.images.get(arm.id).tags == ()
    with pytest.raises(ManifestUnknown, match="no matching manifest for linux/s390x"):
        host.pull(registry, platform=Platform(os="linux", architecture="s390x"))


def test_by_digest(registry: RegistryServer, host: Host) -> None:
    made = put(registry)
    result = host.pull(registry, f":latest@{made.manifest}")
    name = f"{registry.address}/{REPOSITORY}"
    assert result.manifest == made.manifest
    image = host.images.get(f"{name}@{made.manifest}")
    assert (image.tags, image.digests) == ((), (f"{name}@{made.manifest}",))
    assert host.seen[-1] == Message(text=f"Status: Downloaded newer image for {name}@{made.manifest}")


def test_another_platform_than_asked_is_a_warning(registry: RegistryServer, host: Host) -> None:
    put(registry)
    host.pull(registry, platform=Platform(os="linux", architecture="arm64"))
    assert isinstance(host.seen[-1], Message)
    assert host.seen[-1].text.endswith(
        "was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)"
    )


def test_a_moved_tag_leaves_the_old_image_without_one(registry: RegistryServer, host: Host) -> None:
    old = put_image(registry, REPOSITORY, [BASE])
    host.pull(registry)
    new = put_image(registry, REPOSITORY, [TOP])
    assert host.pull(registry).newer
    assert host.images.get(f"{registry.address}/{REPOSITORY}").id == new.id
    assert host.images.get(old.id).tags == ()


def test_credentials_reach_the_registry(host: Host) -> None:
    with RegistryServer(Account("ada", "secret")) as registry:
        made = put(registry)
        assert host.pull(registry, auth=RegistryAuth(username="ada", password="secret")).image == made.id
        with pytest.raises(ManifestUnknown, match="pull access denied"):
            host.pull(registry)


# Each is a way to misbehave, what is told, and the error.


def wrong_diff_id(registry: RegistryServer) -> None:
    rootfs = {"type": "layers", "diff_ids": [MIDDLE.diff_id, TOP.diff_id, str(Digest.of(b"other"))]}
    put(registry, config={"rootfs": rootfs})


def too_few_diff_ids(registry: RegistryServer) -> None:
    put(registry, config={"rootfs": {"type": "layers", "diff_ids": [BASE.diff_id]}})


def foreign_layer(registry: RegistryServer) -> None:
    foreign = LayerBlob(TOP.tar, TOP.blob, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    put_image(registry, REPOSITORY, [BASE, foreign])


def windows(registry: RegistryServer) -> None:
    put(registry, config={"os": "windows"})


def not_a_tar(registry: RegistryServer) -> None:
    put_image(registry, REPOSITORY, [BASE, LayerBlob.gzip(b"this is no tar" * 1000)])


def cut_gzip(registry: RegistryServer) -> None:
    put_image(registry, REPOSITORY, [BASE, LayerBlob(TOP.tar, BASE.blob[:-100], BASE.media_type)])


def missing_blob(registry: RegistryServer) -> None:
    put(registry)
    registry.fault(BASE.digest, Status(404, "BLOB_UNKNOWN", "blob unknown to registry"))


@pytest.mark.parametrize(
    ("arrange", "error", "words"),
    [
        (
            lambda it: it.fault(BASE.digest, Corrupt()),
            DigestMismatch,
            f"blob verification failed: expected {BASE.digest}",
        ),
        (lambda it: it.fault(TOP.digest, Corrupt()), DigestMismatch, "blob verification failed"),
        (lambda it: it.fault(BASE.digest, Shorten(to=1000)), DigestMismatch, "ended after 1000 of"),
        (lambda it: it.fault(BASE.digest, Truncate(after=0)), Unavailable, "ended after 0 of"),
        (lambda it: it.fault(MIDDLE.digest, Status(500)), Unavailable, "500"),
        (lambda it: it.fault("/manifests/", Corrupt()), DigestMismatch, "manifest verification failed"),
        (lambda it: it.fault("/manifests/", Status(404)), ManifestUnknown, "not found"),
        (wrong_diff_id, DigestMismatch, "layer unpacks to"),
        (too_few_diff_ids, InvalidParameter, "layers from manifest don't match image configuration"),
        (foreign_layer, InvalidParameter, "foreign layer"),
        (windows, InvalidParameter, 'image operating system "windows" cannot be used on this platform'),
        (not_a_tar, InvalidParameter, "refused"),
        (cut_gzip, InvalidParameter, "ends too early"),
        (missing_blob, ManifestUnknown, "blob unknown"),
    ],
)
def test_a_failed_pull_leaves_nothing_and_the_next_one_works(
    registry: RegistryServer, host: Host, arrange, error: type[EngineError], words: str
) -> None:
    put(registry)
    arrange(registry)
    with pytest.raises(error) as caught:
        host.pull(registry)
    assert words in str(caught.value)
    assert host.traces() == []
    registry.heal()
    made = put(registry)
    assert host.pull(registry).image == made.id
    assert threading.active_count() < 20


def test_a_failed_pull_leaves_what_others_need(registry: RegistryServer, host: Host) -> None:
    put_image(registry, REPOSITORY, [BASE], tag="base")
    host.pull(registry, ":base")
    before = host.traces()
    put(registry)
    registry.fault(TOP.digest, Corrupt())
    with pytest.raises(DigestMismatch):
        host.pull(registry)
    assert host.traces() == before


def test_an_unreachable_registry(host: Host) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        reference = Reference.parse(f"127.0.0.1:{unused.getsockname()[1]}/x")
        with pytest.raises(Unavailable, match="Connection refused"):
            host.images.pull(reference, progress=host.seen.append)
    assert host.traces() == []
    assert host.seen == []


def test_a_passing_failure_is_not_told(registry: RegistryServer, host: Host) -> None:
    made = put(registry)
    registry.fault("/manifests/", Status(503), times=1)
    registry.fault(BASE.digest, Truncate(after=100_000), times=1)
    assert host.pull(registry).image == made.id
    assert host.traces()


@pytest.mark.parametrize(
    ("where", "fault"),
    [("/manifests/", Hang()), ("layer", Hang()), ("layer", Slow(0.5))],
    ids=["manifest", "silent layer", "slow layer"],
)
def test_cancelling_is_prompt_and_leaves_nothing(
    registry: RegistryServer, host: Host, where: str, fault: Hang | Slow
) -> None:
    made = put(registry)
    registry.fault(BASE.digest if where == "layer" else where, fault)
    cancel = threading.Event()
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    start = time.monotonic()
    with pytest.raises(Cancelled, match=r"pull of .* cancelled"):
        host.pull(registry, cancel=cancel)
    assert time.monotonic() - start < 4  # a silent registry is left after five seconds
    timer.join()
    assert host.traces() == []
    registry.heal()
    assert host.pull(registry, cancel=threading.Event()).image == made.id


def test_closing_cancels_pulls(registry: RegistryServer, host: Host) -> None:
    put(registry)
    registry.fault(BASE.digest, Hang())
    cancelled: list[Cancelled] = []

    def pull() -> None:
        try:
            host.pull(registry)
        except Cancelled as error:
            cancelled.append(error)

    puller = threading.Thread(target=pull)
    puller.start()
    wait_until(lambda: registry.count(BASE.digest) == 1)
    host.images.close()
    puller.join()
    assert cancelled
    assert host.traces() == []


def test_cancelling_one_of_two_pulls_of_a_layer_leaves_the_other(registry: RegistryServer, host: Host) -> None:
    made = put_image(registry, REPOSITORY, [BASE])
    registry.fault(BASE.digest, Slow(0.1))
    cancel, results, cancelled = threading.Event(), [], []

    def pull_and_give_up() -> None:
        try:
            host.pull(registry, cancel=cancel)
        except Cancelled as error:
            cancelled.append(error)

    first = threading.Thread(target=pull_and_give_up)
    first.start()
    wait_until(lambda: registry.count(BASE.digest) == 1)
    second = threading.Thread(target=lambda: results.append(host.pull(registry)))
    second.start()
    cancel.set()
    first.join()
    second.join()
    assert cancelled
    assert [result.image for result in results] == [made.id]


def test_a_full_disk(registry: RegistryServer, tmp_path: Path) -> None:
    big = LayerBlob.gzip(tar_of({"big": os.urandom(3_000_000)}))
    put_image(registry, REPOSITORY, [TOP, big])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "havre-test", tmp_path], check=True)
    host = Host.at(tmp_path)
    try:
        with pytest.raises(StorageFull, match="No space left on device"):
            host.pull(registry)
        assert host.traces() == []
        put_image(registry, REPOSITORY, [TOP])
        host.pull(registry)
    finally:
        host.database.close()
        subprocess.run(["umount", tmp_path], check=True)


def test_a_rotten_blob_in_the_store_is_fetched_anew(registry: RegistryServer, host: Host) -> None:
    made = put_image(registry, REPOSITORY, [BASE], tag="1")
    host.pull(registry, ":1")
    blob = host.content.path(Digest(BASE.digest))
    blob.chmod(0o600)
    blob.write_bytes(BASE.blob[:-10] + bytes(10))
    host.layers.remove(Digest(BASE.diff_id))
    made = put_image(registry, REPOSITORY, [BASE, TOP], tag="2")
    host.pull(registry, ":2")
    assert host.images.get(made.id).diff_ids == (BASE.diff_id, TOP.diff_id)
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == BASE.digest[7:]


def test_a_bad_platform_entry_does_not_break_the_index(registry: RegistryServer, host: Host) -> None:
    made = put_image(registry, REPOSITORY, [BASE], tag="amd")
    attestation = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": str(Digest.of(b"attestation")),
        "size": 1,
        "platform": {"os": "unknown", "architecture": "unknown"},
    }
    entry = {**attestation, "digest": made.manifest, "platform": {"os": "linux", "architecture": "amd64"}}
    index = {"schemaVersion": 2, "manifests": [attestation, entry]}
    registry.add_manifest(
        REPOSITORY, json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json", tag="latest"
    )
    assert host.pull(registry, platform=Platform(os="linux", architecture="amd64")).image == made.id


def test_a_killed_engines_leftovers_go_at_start(registry: RegistryServer, host: Host) -> None:
    made = put(registry)
    host.pull(registry)
    kept = host.traces()
    (host.root / "content" / "tmp" / "half").write_bytes(b"half")
    host.content.put(b"a blob that no image needs")
    loose = tar_of({"loose": b"x"})
    with host.layers.unpack(expected=Digest.of(loose)) as sink:
        sink.write(loose)
        sink.commit()
    host.images.reconcile()
    assert sorted(host.traces()) == sorted(kept)
    host.layers.remove(Digest(BASE.diff_id))
    host.images.reconcile()
    assert (host.layers.diff(Digest(BASE.diff_id)) / "base").read_bytes() == b"base\n"
    host.content.remove(Digest(made.id))
    host.images.reconcile()
    with pytest.raises(ImageNotFound):
        host.images.get(made.id)
    assert host.traces() == []


def test_all_tags(registry: RegistryServer, host: Host) -> None:
    first, second = put(registry, tag="1"), put_image(registry, REPOSITORY, [TOP], tag="2")
    reference = Reference.parse(f"{registry.address}/{REPOSITORY}")
    results = host.images.pull_all(reference, progress=host.seen.append)
    assert [(each.reference.tag, each.image) for each in results] == [("1", first.id), ("2", second.id)]
    told = [each for each in host.seen if isinstance(each, Message)]
    assert [each.id for each in told if each.text.startswith("Pulling from")] == ["1", "2"]
    assert told[-1].text == f"Status: Downloaded newer image for {reference.familiar_name}"
    assert sum(each.text.startswith("Status") for each in told) == 1
    host.images.pull_all(reference, progress=host.seen.append)
    assert host.seen[-1] == Message(text=f"Status: Image is up to date for {reference.familiar_name}")
    with pytest.raises(ManifestUnknown, match="has no tags"):
        host.images.pull_all(Reference.parse(f"{registry.address}/empty"), progress=host.seen.append)


def test_a_layer_keeps_the_blob_that_it_has(registry: RegistryServer, host: Host) -> None:
    """Two images have the same layer in different blobs. When the first goes, the second can still be saved."""
    first = put_image(registry, REPOSITORY, [LayerBlob.gzip(TOP.tar)], tag="1")
    put_image(registry, REPOSITORY, [LayerBlob.zstd(TOP.tar)], tag="2", config={"author": "another"})
    host.pull(registry, ":1")
    host.pull(registry, ":2")
    host.images.remove(first.id, force=True, in_use=lambda _: ())
    assert host.content.has(Digest(first.layers[0].digest))
    assert host.save(f"{registry.address}/{REPOSITORY}:2")


def test_a_pull_that_is_held_to_public_addresses(registry: RegistryServer, host: Host) -> None:
    put(registry)
    with pytest.raises(Forbidden, match=r"127\.0\.0\.1 is no public address"):
        host.pull(registry, reach=PublicReach())
    assert registry.requests == []


@pytest.mark.parametrize("what", ["blobs", "tokens"])
def test_a_registry_that_leads_to_what_is_not_public(registry: RegistryServer, host: Host, what: str) -> None:
    put(registry)
    name, _, port = registry.address.partition(":")
    with RegistryServer() as inner:
        if what == "blobs":
            registry.fault("/blobs/", Redirect(f"http://{inner.address}"))
        else:
            challenge = f'Bearer realm="http://{inner.address}/token",service="s"'
            registry.fault("/manifests/", Status(401, headers={"WWW-Authenticate": challenge}))
        with pytest.raises(Forbidden, match=r"127\.0\.0\.1 is no public address"):
            host.pull(registry, reach=PublicReach(peers=frozenset({(name, int(port))})))
    assert inner.requests == []
    assert host.traces() == []


def test_zstd_chunked_is_read_as_zstd(registry: RegistryServer, host: Host) -> None:
    """Its table of contents and footer are frames that a reader of zstd skips (RFC 8878, 3.1.2)."""
    frame = zstandard.compress(MIDDLE.tar[:700]), zstandard.compress(MIDDLE.tar[700:])
    skipped = struct.pack("<II", 0x184D2A50, 1000) + os.urandom(1000)
    layer = LayerBlob(MIDDLE.tar, frame[0] + skipped + frame[1] + skipped, MIDDLE.media_type)
    put_image(registry, REPOSITORY, [layer])
    image = host.images.get(host.pull(registry).image)
    assert image.diff_ids == (MIDDLE.diff_id,)
    assert (host.layers.diff(Digest(MIDDLE.diff_id)) / "middle").read_bytes() == b"middle\n"


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ],
)
def test_foreign_layers_are_refused(registry: RegistryServer, host: Host, kind: str) -> None:
    put_image(registry, REPOSITORY, [BASE, LayerBlob(TOP.tar, TOP.blob, kind)])
    with pytest.raises(InvalidParameter, match=r"is a foreign layer .*, kept outside of the registry: refused"):
        host.pull(registry)
    assert host.traces() == []
