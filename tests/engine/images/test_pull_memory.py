"""How much memory the daemon takes for a pull, whatever the layer's size."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from engine.registry import media
from tests.conftest import scratch_directory
from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.image_maker import digest_of
from tests.fixtures.registry import Registry

MOST = 120 << 20
SIZE = 384 << 20


def write_layout(directory: Path) -> None:
    """An image with one layer of a single large file that does not compress."""
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("large")
        info.size = SIZE
        tar.addfile(info, io.BytesIO(os.urandom(SIZE)))
    layer, packed = buffer.getvalue(), gzip.compress(buffer.getvalue(), 1, mtime=0)
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}}
    data = json.dumps(config).encode()
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": media.OCI_CONFIG, "digest": digest_of(data), "size": len(data)},
        "layers": [{"mediaType": kind, "digest": digest_of(packed), "size": len(packed)}],
    }
    document = json.dumps(manifest).encode()
    for blob in (data, packed, document):
        (blobs / digest_of(blob)[7:]).write_bytes(blob)
    entry = {"mediaType": media.OCI_MANIFEST, "digest": digest_of(document), "size": len(document)}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def peak(pid: int) -> int:
    """Bytes of the most that a process has had in memory since its count was set back."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) << 10


@pytest.mark.slow
def test_a_large_layer(havre: HavreDaemon) -> None:
    with scratch_directory() as directory:
        write_layout(directory / "layout")
        with Registry(directory / "storage", namespace=havre.namespace, port=5004) as registry:
            registry.push(f"oci:{directory / 'layout'}:latest", "large")
            Path(f"/proc/{havre.process.pid}/clear_refs").write_text("5")
            havre.docker("pull", "-q", f"{registry.address}/large", timeout=300)
            taken = peak(havre.process.pid)
            havre.docker("rmi", f"{registry.address}/large")
    print(f"peak of the daemon while it pulled {SIZE >> 20} MiB: {taken >> 20} MiB")
    assert taken < MOST
