"""`engine check`: what has rotted is found, and put right where there is something to put it right with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.images.checking import Finding, Inspection
from engine.registry.reference import Reference
from engine.types import Digest
from tests.fixtures.daemons import PROJECT
from tests.fixtures.image_archives import host_layer
from tests.fixtures.image_host import REPOSITORY, Host
from tests.fixtures.image_maker import LayerBlob, MadeImage, put_image
from tests.fixtures.processes import clean_environ
from tests.fixtures.registry_server import RegistryServer
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

BASE = LayerBlob.gzip(tar_of({"base": b"base\n", "etc/noise": os.urandom(100_000)}))
TOP = LayerBlob.zstd(tar_of({"top": b"top\n"}))


@pytest.fixture
def made(registry: RegistryServer, host: Host) -> MadeImage:
    made = put_image(registry, REPOSITORY, [BASE, TOP])
    host.pull(registry)
    return made


def check(host: Host, *, repair: bool = False) -> list[Finding]:
    return list(Inspection(host.images.stores, repair=repair).run())


def spoil(path: Path) -> None:
    """Change a byte, as a disk does."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def own(host: Host, made: MadeImage) -> Digest:
    """An image with a layer of the engine's own making and no compressed copy of that."""
    image = host.images.add_layer(
        made.id, iter([host_layer(host)]), config={}, history={}, reference=Reference.parse("own:1")
    )
    assert host.images.stores.records.layers(image)[-1][1] is None
    return image


def test_all_is_well(host: Host, made: MadeImage) -> None:
    own(host, made)
    assert check(host) == []
    assert check(host, repair=True) == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_compressed_layer(registry: RegistryServer, host: Host, made: MadeImage, gone: bool) -> None:
    blob = Digest(BASE.digest)
    host.content.remove(blob) if gone else spoil(host.content.path(blob))
    finding, layer = check(host)
    assert (finding.what, layer.what) == (f"blob {blob}", f"layer {BASE.diff_id}")
    assert finding.problem.startswith("is missing" if gone else "has the digest")
    assert "no compressed copy is left" in layer.problem
    assert not finding.repaired
    assert host.images.stores.records.blobs(Digest(made.id)) >= {blob}, "without repair nothing changes"
    finding, layer = check(host, repair=True)
    assert (bool(finding.repaired), layer.repaired) == (True, "")
    # The layer cannot be compared with anything any more; the next pull brings the copy back.
    assert [each.what for each in check(host)] == [f"layer {BASE.diff_id}"]
    host.pull(registry)
    assert host.content.has(blob)
    assert check(host) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda files: (files / "base").write_bytes(b"other"),
        lambda files: (files / "more").touch(),
        lambda files: (files / "base").unlink(),
        lambda files: (files / "base").chmod(0o4755),
        lambda files: os.chown(files / "base", 1, 1),
        lambda files: os.setxattr(files / "base", "user.x", b"1"),
        lambda files: ((files / "base").unlink(), (files / "base").symlink_to("/etc/passwd")),
    ],
)
def test_files_of_a_layer(host: Host, made: MadeImage, damage: object) -> None:
    diff_id = Digest(BASE.diff_id)
    [name] = host.layers.short_names([diff_id])
    damage(host.layers.diff(diff_id))  # type: ignore[operator]
    [finding] = check(host)
    assert (finding.what, finding.problem) == (f"layer {diff_id}", "its files have changed")
    [finding] = check(host, repair=True)
    assert finding.repaired == "made anew from its compressed copy"
    assert check(host) == []
    assert (host.layers.diff(diff_id) / "base").read_bytes() == b"base\n"
    assert host.layers.short_names([diff_id]) == [name], "containers know it by this name"
    assert (host.layers.links / name / "base").exists()


def test_a_layer_that_is_gone(host: Host, made: MadeImage) -> None:
    host.layers.remove(Digest(TOP.diff_id))
    [finding] = check(host, repair=True)
    assert (finding.problem, finding.repaired) == ("is missing", "made anew from its compressed copy")
    assert check(host) == []


def test_a_layer_of_ones_own_that_has_changed(host: Host, made: MadeImage) -> None:
    image = host.images.get(own(host, made))
    (host.layers.diff(image.diff_ids[-1]) / "own").write_bytes(b"changed")
    for repair in (False, True):
        [finding] = check(host, repair=repair)
        assert finding.what == f"layer {image.diff_ids[-1]}"
        assert not finding.repaired, "changed files are better than none"


def test_a_layer_of_ones_own_that_is_gone(host: Host, made: MadeImage) -> None:
    image = host.images.get(own(host, made))
    host.layers.remove(image.diff_ids[-1])
    [finding] = check(host, repair=True)
    assert "have been removed" in finding.repaired
    assert [each.id for each in host.images.list(all=True)] == [made.id]
    host.images.reconcile(in_use=lambda _: ())
    assert check(host) == []


def test_a_config(host: Host, made: MadeImage, registry: RegistryServer) -> None:
    spoil(host.content.path(Digest(made.id)))
    [finding] = check(host, repair=True)
    assert finding.problem.startswith("the config of an image has the digest")
    assert f"{registry.address}/{REPOSITORY}:latest" in finding.repaired
    host.images.catalogue.forget(Digest(made.id))
    host.images.reconcile(in_use=lambda _: ())
    assert host.traces() == []
    host.pull(registry)
    assert check(host) == []


def test_rows_of_another_image(host: Host, made: MadeImage) -> None:
    with host.database.transaction() as connection:
        connection.execute("UPDATE image_layers SET position = 5 WHERE position = 0")
    [finding] = check(host)
    assert finding.problem == "its rows name other layers than its config"


def test_what_nobody_needs(host: Host, made: MadeImage) -> None:
    loose = host.content.put(b"loose")
    assert [each.what for each in check(host)] == [f"blob {loose}"]
    assert [each.repaired for each in check(host, repair=True)] == ["removed"]
    assert not host.content.has(loose)


def run(host: Host, *options: str) -> subprocess.CompletedProcess[str]:
    environ = clean_environ(HAVRE_ROOT=str(host.root), HAVRE_RUN=str(host.root / "run"))
    command = [sys.executable, "-m", "engine", "check", *options]
    return subprocess.run(command, env=environ, cwd=PROJECT, capture_output=True, text=True, timeout=60)


def test_the_command(host: Host, made: MadeImage) -> None:
    host.database.close()
    (host.root / "db.sqlite3").rename(host.root / "havre.sqlite3")
    done = run(host)
    assert (done.returncode, done.stdout) == (0, "everything is as it should be\n")
    spoil(host.content.path(Digest(made.manifest)))
    found = run(host)
    assert found.returncode == 1
    assert found.stdout.splitlines()[-1] == "1 findings, 0 put right"
    assert run(host, "--repair").returncode == 0
    assert run(host).returncode == 0


def test_the_command_without_anything_to_check(host: Host) -> None:
    refused = run(host)
    assert refused.returncode == 69
    assert "there is no engine's state" in refused.stderr
